// SPDX-License-Identifier: Apache-2.0

import RelayNode
import StreamRelay
import TransferBroker
import WSProtocol

/// What a running server says about itself; also the output of `relay-server status --json`.
struct ServerStatus: Hashable, Sendable, Codable {
    /// How far the server is from its end.
    enum State: String, Hashable, Sendable, Codable {
        case serving, draining, stopping
    }

    var version: String
    var state: State
    var pid: Int32
    /// Seconds since the start.
    var uptime: Int64
    /// The addresses that TLS connections are really accepted on, as HOST:PORT.
    var listen: [String]
    /// The addresses that connections of plain HTTP are really accepted on, as HOST:PORT.
    var httpListen: [String]
    /// The address of `/metrics`, `/healthz` and `/readyz`; nil when there is none.
    var metricsListen: String?
    var registration: ServerMessage.Registration
    /// Registered names.
    var users: Int
    /// Invitations that can still be used.
    var invitations: Int
    /// Control connections.
    var sessions: Int
    /// Transfers that were accepted and are not over.
    var transfers: Int
    /// Streams that were joined on this node since the start.
    var streams = StreamCounts()
    /// What each user may do, unless an operator has said otherwise of it; 0 stands for no limit.
    var limits: LimitSet = [:]
    /// How many users' limits an address has; nil when there are none of addresses.
    var addressLimit: Int?
    /// What goes on.
    var figures = StatusFigures()
    /// How this node stands with the others; nil when it is the only one.
    var cluster: ClusterStatus?
}
