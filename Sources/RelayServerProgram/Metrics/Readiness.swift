// SPDX-License-Identifier: Apache-2.0

import RelayNode
import StreamRelay

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
