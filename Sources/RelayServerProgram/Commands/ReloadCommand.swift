// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `relay-server reload`
struct ReloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Read certificates, limits and the log level again, without a restart.",
        discussion: """
            Does the same as SIGHUP, waits, and prints the outcome. The configuration file and all certificates are \
            read and checked first: when anything is wrong, nothing changes, and the exit code is 78. New connections \
            get the new certificate; those that are open keep theirs.

            Settings that need a new process are named; `relay-server restart` starts one without an interruption. A node \
            of a cluster is drained and started again instead.
            """
    )

    @OptionGroup var state: StateOptions

    func run() async throws {
        let reply = try await state.client().ask(.reload)
        guard case .reloaded(let outcome) = reply else { throw AdminClient.unexpected }
        try Answer.write("reloaded: \(outcome.applied.joined(separator: ", "))")
        guard !outcome.waiting.isEmpty else { return }
        let step = outcome.isNode ? "`relay-server drain` and a new start" : "`relay-server restart`"
        try Answer.write("unchanged until \(step): \(outcome.waiting.joined(separator: ", "))")
    }
}
