// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import TransferBroker
import WSProtocol

/// Figures about routing, for `status` and metrics.
struct RoutingStatus: Hashable, Sendable {
    /// Whether Redis is reachable now.
    var isConnected = false
    /// Whether the node's place in Redis is its own.
    var isJoined = false
    /// Whether it has been since the start.
    var hasJoined = false
    /// Other nodes that are alive.
    var nodes = 0
    /// Names that receive here, names that have offers here, and transfers and unused tokens that have their home here.
    var receiving = 0
    var waiting = 0
    var homes = 0
    var tokens = 0
    /// What stood in Redis and meant nothing.
    var ignored = 0
    var doorbell = Doorbell.Status()
}

/// When routing does what; tests have no time for the real ones.
package struct RoutingTiming: Hashable, Sendable {
    /// How often everything is renewed and read.
    var renewal = Defaults.Routing.renewal
    /// How long what is in Redis lives without that.
    var life = Defaults.Routing.life
    /// How long a start waits for another process with its id, and how often it reads that one's presence.
    var claim = Defaults.Routing.claim
    var claimLookup = Defaults.Routing.claimLookup
    /// How often ticket keys are read.
    var ticketLookup = Defaults.Routing.ticketLookup

    /// Without a renewal for longer than this, a process is not heard of any more: renewals may be a little late.
    var silence: TimeAmount { .nanoseconds(renewal.nanoseconds / 4 * 5) }
}

/// What a node does about changes elsewhere in its cluster. Called on the event loop of Redis' connection; all of it
/// are hints, and may be repeated.
protocol ClusterRoutingDelegate: Sendable {
    /// Sessions on other nodes receive for `name`, which has offers waiting here.
    func receiversAppeared(_ name: PeerName, _ sessions: [SessionID])
    /// A process is not in Redis any more, or another one is in its place.
    func nodeGone(_ node: NodeID, incarnation: Incarnation)
    /// `name` belongs to this user now; nil: to no user.
    func userChanged(_ name: PeerName, _ user: User?)
    /// What is laid down about the user of `name` may have changed.
    func accountChanged(_ name: PeerName, _ account: UserAccount)
    /// The names with sessions here.
    var names: [PeerName] { get }
}
