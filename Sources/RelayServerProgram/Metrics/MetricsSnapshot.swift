// SPDX-License-Identifier: Apache-2.0

import RelayNode
import ServerSystem
import StreamRelay
import TransferBroker

/// Every figure of the metrics page, of one moment.
struct MetricsSnapshot: Hashable, Sendable {
    /// What `relay-server status` says too.
    var status: ServerStatus
    /// What the broker holds and has ended.
    var broker: BrokerStatus
    /// Connections of clients, of any kind.
    var connections: Int
    /// Streams that are here now, and what has gone through them and those before.
    var streams = 0
    var flow = StreamFigures()
    /// How Redis has answered; nil without a cluster.
    var redis: RedisFigures?
    /// What has come to the listeners.
    var accepts = AcceptCounts()
    /// How handshakes of clients have ended.
    var handshakes = HandshakeFigures()
    /// What the process has of the system.
    var process = ProcessFigures()
    /// Limits that were met, and refusals.
    var limits = LimitReports.Counts()
    /// When the server started, in seconds since 1970.
    var started: Int64
    /// When the first certificate that this relay shows ends, in seconds since 1970.
    var certificateEnd: Int64
    /// How often the configuration was read again.
    var reloads = ReloadCounts()
    /// Lines of the log that could not be written.
    var lostLogLines: UInt64 = 0
}

/// What the process has of the system; nil what the system does not say.
struct ProcessFigures: Hashable, Sendable {
    /// Bytes in memory.
    var resident: UInt64?
    /// Descriptors that are open, and how many may be.
    var openDescriptors: Int?
    var descriptorLimit: Int?
    /// Processor time used, in milliseconds.
    var processorTime: UInt64?

    /// Bytes of memory near which new work is refused.
    var memoryLimit: UInt64?
    /// How late the timers of the event loops were.
    var loopLag = Histogram(.instants)
    /// How often the calendar clock was set.
    var clockSteps: UInt64 = 0
    /// Changes of the users' registry that could not be written.
    var failedWrites: UInt64 = 0
}

/// Where the answers of the metrics listener come from.
protocol MetricsSource: Sendable {
    /// The figures of now. In a cluster it asks Redis for some; without an answer they are the last known ones.
    func snapshot() async -> MetricsSnapshot
    /// Whether new clients are wanted; waits for nothing.
    var readiness: Readiness { get }
}

/// Whether balancers should send new clients here, and the one word why not.
enum Readiness: String, Hashable, Sendable {
    case ready
    /// The server is about to stop.
    case draining
    /// The node has had no place in its cluster yet.
    case joining

    /// - Parameter cluster: nil for the only node.
    init(_ state: ServerStatus.State, _ cluster: ClusterStatus?) {
        switch state {
        case .draining, .stopping: self = .draining
        // A node whose Redis has gone stays ready: all would go at once otherwise, and what needs no Redis goes on.
        case .serving: self = cluster?.hasJoined ?? true ? .ready : .joining
        }
    }

    /// The answer's status.
    var status: HTTPStatus { self == .ready ? .ok : .unavailable }
}
