// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface

/// The options that every command has.
struct GlobalOptions: ParsableArguments {
    @Option(help: "The folder of the profile (or RELAY_PROFILE; $XDG_CONFIG_HOME/relay otherwise).")
    var profile: String?

    @Option(help: "The relay, instead of the profile's (or RELAY_SERVER).")
    var server: String?

    @Option(name: .customLong("ca"), help: "A PEM file of the authorities to trust (or RELAY_CA).")
    var authorities: String?

    @Flag(help: "One JSON object a line on standard output, and nothing else there.")
    var json = false

    @Flag(help: "Say nothing but errors.")
    var quiet = false

    @Flag(help: "Say more.")
    var verbose = false

    func validate() throws {
        for (path, name) in [(profile, "--profile"), (authorities, "--ca")] {
            if let mistake = path.flatMap({ UnexpandedHome.mistake($0, of: name) }) { throw ValidationError(mistake) }
        }
    }
}
