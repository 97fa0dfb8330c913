// SPDX-License-Identifier: Apache-2.0

import ServerSystem
import WSProtocol

@testable import RelayServerProgram

/// A server that notes what operators ask of it.
struct FakeServer: ServerControl {
    static let status = ServerStatus(
        version: "1", state: .serving, pid: 7, uptime: 1, listen: ["127.0.0.1:1"], httpListen: [],
        registration: .invite, users: 0, invitations: 0, sessions: 2, transfers: 3
    )

    static let reloaded = ReloadOutcome(applied: ["limit"], waiting: ["listen"])
    /// The process that takes its place.
    static let successor: Int32 = 8

    let events: EventLog

    func status() async -> ServerStatus { Self.status }

    /// As many transfers as were asked for.
    func top(limit: Int) async -> ServerTop {
        ServerTop(
            node: "n1", state: .serving, uptime: 1, figures: StatusFigures(),
            transfers: (0..<limit).map { _ in .init(transfer: .random(), state: "waiting") }, sessions: [])
    }

    func drain() { events.append("drain") }

    func nameRemoved(_ name: PeerName) { events.append("removed \(name)") }

    func reload() throws(OperatorError) -> ReloadOutcome {
        events.append("reload")
        return Self.reloaded
    }

    func restart() async throws(OperatorError) -> Int32 {
        events.append("restart")
        return Self.successor
    }

    func restartAnswered() { events.append("restart answered") }
}
