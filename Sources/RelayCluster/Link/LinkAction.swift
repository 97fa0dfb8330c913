// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

/// What the machines of a link want done.
enum LinkAction: Hashable, Sendable {
    /// Ask the address book where the node is, and tell the answer together with `attempt`.
    case resolve(attempt: UInt64)
    case dial(NodeAddress, LinkConnection)
    case say(LinkFrame, LinkConnection)
    /// Write the text of a message that was encoded before.
    case write(ByteBuffer, LinkConnection)
    case deliver(NodeMessage, from: Incarnation)
    /// Close it, or give the attempt up.
    case close(LinkConnection)
    /// As `close`, because the other side broke a rule.
    case reject(LinkConnection)
    /// Everything shared with that process of the other node is over.
    case lost(LinkLoss)
}

/// One connection of a link, or an attempt at one: numbers are never used twice.
enum LinkConnection: Hashable, Sendable {
    /// One that this node dials.
    case outbound(UInt64)
    /// One that the other node dialled.
    case inbound(UInt64)
}

/// Why everything that was shared with another node's process is over. The value is what the log says.
enum LinkLoss: String, Hashable, Sendable, CaseIterable {
    /// The address book has no live node of that name.
    case unknown = "no live node has that id"
    case refused = "its port refuses connections"
    /// Not reached for as long as `LinkTiming.loss`.
    case unreachable = "it cannot be reached"
    /// Another process answers, or calls, under its name.
    case replaced = "it was started again"
    /// It says that the association is over.
    case released = "it has let go"
    /// Its presence is gone, and there is no connection that says otherwise.
    case gone = "its presence is gone"
    /// Too much waits for it.
    case overflow = "it takes no messages"
    /// A message is too long to be sent.
    case unsendable = "a message for it is too long"
}

/// The times and limits of a link.
struct LinkTiming: Hashable, Sendable {
    /// A node that was not reached for this long is lost.
    var loss = Defaults.Link.loss
    /// From the upgraded connection to the other side's `welcome`.
    var greeting = Defaults.Link.greeting
    /// The first pause between two attempts to dial; each is twice the one before, up to the longest.
    var shortestPause = Defaults.Link.shortestPause
    var longestPause = Defaults.Link.longestPause
    /// What is over is known for this long.
    var memory = Defaults.Link.memory
    /// The most messages, and bytes of them, that wait for an acknowledgement.
    var unackedMessages = Defaults.Link.unackedMessages
    var unackedBytes = Defaults.Link.unackedBytes
}
