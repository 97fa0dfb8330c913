// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// What goes on at a running server at one moment; also the output of `relay-server top --json`.
struct ServerTop: Hashable, Sendable, Codable {
    /// A transfer whose home this node is, or whose stream it carries for another one.
    struct Transfer: Hashable, Sendable, Codable {
        /// The attempt's id, as in the log.
        var transfer: TransferID
        /// Between whom; nil where another node is the transfer's home.
        var from: PeerName?
        var to: PeerName?
        var state: String
        /// Seconds since the offer; nil where another node is the transfer's home.
        var age: Int64?
        /// The node that holds the download; for a transfer of another home, that home.
        var node: String?
        /// Bytes of content that have gone through this node; nil when its stream is not here.
        var bytes: UInt64?
        /// Bytes a second since the last refresh; nil at the first one.
        var rate: UInt64?
    }

    /// A control connection that is logged in.
    struct Session: Hashable, Sendable, Codable {
        var session: String
        var name: PeerName
        var receiving: Bool
        var sharing: Bool
        var transfers: Int
        /// Seconds since the login.
        var age: Int64
    }

    var node: String
    var state: ServerStatus.State
    /// Milliseconds since the start.
    var uptime: Int64
    var figures: StatusFigures
    /// Bytes a second into receivers' connections and on to other nodes, since the last refresh; nil at the first one.
    var rate: UInt64?
    /// Some of the transfers and sessions: those that move first.
    var transfers: [Transfer]
    var sessions: [Session]
}

extension ServerTop.Transfer {
    /// A transfer of this home.
    init(_ entry: TransferEntry, bytes: UInt64?) {
        self.init(
            transfer: entry.id, from: entry.from, to: entry.to, state: entry.state.rawValue, age: entry.seconds,
            node: entry.download?.rawValue, bytes: bytes)
    }
}

extension ServerTop.Session {
    init(_ entry: SessionEntry) {
        self.init(
            session: entry.id, name: entry.name, receiving: entry.receiving, sharing: entry.sharing,
            transfers: entry.transfers, age: entry.seconds)
    }
}

/// The figures that an operator looks at first.
struct StatusFigures: Hashable, Sendable, Codable {
    /// Sessions that are logged in, and those of them that are ready for files and for requests.
    var sessions = 0
    var receiving = 0
    var sharing = 0
    /// Transfers of this home, by state.
    var waiting = 0
    var ringing = 0
    var accepted = 0
    var parked = 0
    var streaming = 0
    var streamed = 0
    /// Transfers of this home that ended since the start.
    var delivered: UInt64 = 0
    var failed: UInt64 = 0
    /// Streams that are here.
    var streams = 0
    /// Bytes since the start, into receivers' connections and on to other nodes.
    var bytesToReceivers: UInt64 = 0
    var bytesToNodes: UInt64 = 0
    /// Connections of any kind.
    var connections = 0
    /// What the process has of the system, and its limits; nil what is not known, or has no limit.
    var memory: UInt64?
    var memoryLimit: UInt64?
    var descriptors: Int?
    var descriptorLimit: Int?
    /// When the first certificate that this relay shows ends, in seconds since 1970.
    var certificateEnd: Int64 = 0
}
