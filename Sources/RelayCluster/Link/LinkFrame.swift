// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// One text message on a link.
enum LinkFrame: Hashable, Sendable {
    /// The caller's first.
    case hello(Hello)
    /// The answer to it.
    case welcome(Welcome)
    /// The caller's message number `seq` of the association.
    case message(seq: UInt64, NodeMessage)
    /// All of the caller's messages up to this number have come.
    case ack(UInt64)

    /// Who is calling whom, and which association the call goes on with.
    struct Hello: Hashable, Sendable {
        /// The caller, and which start of it.
        var node: NodeID
        var incarnation: Incarnation
        /// The node that is called; the incarnation is that of the association, if it is known.
        var to: NodeID
        var toIncarnation: Incarnation?
        /// Higher than that of any association this incarnation of the caller has had before.
        var association: UInt64
    }

    /// Who answers, and how much of the association has come.
    struct Welcome: Hashable, Sendable {
        var node: NodeID
        var incarnation: Incarnation
        /// The number of the last message that has come, 0 at first; nil when the association is over on this side.
        var received: UInt64?
    }
}
