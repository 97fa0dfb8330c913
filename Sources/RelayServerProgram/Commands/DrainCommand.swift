// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `relay-server drain`
struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Let running transfers finish, take no new ones, and end the server.",
        discussion: "The same as one SIGTERM. The command itself does not wait."
    )

    @OptionGroup var state: StateOptions

    func run() async throws {
        let reply = try await state.client().ask(.drain)
        guard case .draining(let transfers, let seconds) = reply else { throw AdminClient.unexpected }
        let count = transfers == 1 ? "1 transfer runs" : "\(transfers) transfers run"
        try Answer.write("draining: \(count); the server ends after that, in \(seconds) s at the latest")
    }
}
