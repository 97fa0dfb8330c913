// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Sealing
import WSProtocol

/// `relay-client whoami`.
struct WhoamiCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "whoami", abstract: "Print the name, the relay and the key fingerprint of the profile.",
        discussion: "Two people can compare the fingerprint to make sure that a name belongs to this key."
    )

    @OptionGroup var global: GlobalOptions

    private struct Answer: Encodable {
        var event = "whoami"
        var name: String
        var server: String
        var fingerprint: String
        var profile: String
    }

    func run() async throws {
        try await Client.run(global) { client in
            let profile = try client.profile()
            let relay = try client.relay(of: profile)
            let fingerprint = profile.fingerprint?.description ?? ""
            guard global.json else {
                client.reporter.answer("name         \(profile.name)")
                client.reporter.answer("relay        \(relay)")
                client.reporter.answer("fingerprint  \(fingerprint)")
                return
            }
            let answer = Answer(
                name: profile.name.rawValue, server: relay.description, fingerprint: fingerprint,
                profile: profile.directory
            )
            if let line = JSONLine.text(of: answer) { client.reporter.answer(line) }
        }
    }
}
