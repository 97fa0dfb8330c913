// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface

/// The options that every command has.
struct GlobalOptions: ParsableArguments {
    /// Their names, of those with a value and of those without.
    static let withValue: Set<String> = ["profile", "server", "ca"]
    static let flags: Set<String> = ["json", "quiet", "verbose"]

    @Option(
        help: "Folder of the profile (or RELAY_PROFILE; default $XDG_CONFIG_HOME/relay).", completion: .directory)
    var profile: String?

    @Option(help: "URL of the relay, instead of the profile's (or RELAY_SERVER).")
    var server: String?

    @Option(
        name: .customLong("ca"), help: "PEM file with the certificate authorities to trust (or RELAY_CA).",
        completion: .file())
    var authorities: String?

    @Flag(help: "Print one JSON object per line on standard output, and nothing else there.")
    var json = false

    @Flag(help: "Print errors only.")
    var quiet = false

    @Flag(help: "Print details.")
    var verbose = false

    func validate() throws {
        for (path, name) in [(profile, "--profile"), (authorities, "--ca")] {
            if let mistake = path.flatMap({ UnexpandedHome.mistake($0, of: name) }) { throw ValidationError(mistake) }
        }
    }
}
