// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// What a node does about changes elsewhere in its cluster. Called on the event loop of Redis' connection; all of it are
/// hints, and may be repeated.
protocol ClusterRoutingDelegate: Sendable {
    /// Sessions on other nodes receive for `name`, which has offers waiting here.
    func receiversAppeared(_ name: PeerName, _ sessions: [SessionID])
    /// A process is not in Redis any more, or another one is in its place.
    func nodeGone(_ node: NodeID, incarnation: Incarnation)
    /// `name` belongs to this user now; nil: to no user.
    func userChanged(_ name: PeerName, _ user: User?)
    /// The names with sessions here.
    var names: [PeerName] { get }
}
