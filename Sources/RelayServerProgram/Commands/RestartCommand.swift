// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `relay-server restart`
struct RestartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Replace the running process by a new one, without an interruption.",
        discussion: """
            For an upgrade, and for settings that `reload` does not take. The running server starts the program that is \
            installed now, with the same command line. The new process reads its configuration, takes over the listening \
            sockets, the admin socket and the pid file, and serves; no connection is refused meanwhile. The old process \
            ends once its transfers have. When the new one cannot start, the old one goes on, and the command says why.

            Not for a node of a cluster: drain it, and start it again.
            """
    )

    @OptionGroup var state: StateOptions

    func run() async throws {
        let reply = try await state.client().ask(.restart)
        guard case .restarted(let process, let transfers) = reply else { throw AdminClient.unexpected }
        let count = transfers == 1 ? "1 transfer finishes" : "\(transfers) transfers finish"
        try Answer.write("restarted: process \(process) serves; \(count) in the old one")
    }
}
