// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// Both halves of the link with one other node. When either finds the node lost, both let go: what two processes share
/// is over in both directions at once, and is reported once.
///
/// A pure value. Each event has one method, which returns what to do.
struct LinkPeer: Sendable {
    private(set) var sender: LinkSender
    private(set) var receiver: LinkReceiver

    /// - Parameter association: as for `LinkSender`.
    init(me: NodeInstance, other: NodeID, association: UInt64 = 0, timing: LinkTiming = LinkTiming()) {
        sender = LinkSender(me: me, other: other, association: association, timing: timing)
        receiver = LinkReceiver(me: me, timing: timing)
    }

    /// Whether the other node is known to be there now.
    var isConnected: Bool { sender.isOpen || receiver.isConnected }

    /// Whether nothing has to be remembered about the other node but the association's number.
    var isForgettable: Bool { sender.state == .idle && receiver.state == .none }

    /// Whether only which associations are over has to be remembered.
    var isOver: Bool {
        if case .ended = receiver.state { return sender.state == .idle }
        return false
    }

    /// When `timerFired` has to be called next.
    var deadline: NIODeadline? {
        guard let first = sender.deadline, let second = receiver.deadline else {
            return sender.deadline ?? receiver.deadline
        }
        return min(first, second)
    }

    /// There is something to say to the node.
    mutating func send(_ message: NodeMessage, now: NIODeadline) -> [LinkAction] {
        sending(sender.send(message, now: now))
    }

    /// The address book has answered.
    mutating func resolved(_ address: NodeAddress?, attempt: UInt64) -> [LinkAction] {
        sending(sender.resolved(address, attempt: attempt))
    }

    /// A connection that was dialled is ready for `hello`.
    mutating func connected(_ connection: LinkConnection, now: NIODeadline) -> [LinkAction] {
        sending(sender.connected(connection, now: now))
    }

    /// A connection could not be made.
    mutating func dialFailed(_ connection: LinkConnection, refused: Bool, now: NIODeadline) -> [LinkAction] {
        sending(sender.dialFailed(connection, refused: refused, now: now))
    }

    /// The node has called.
    mutating func called(_ hello: LinkFrame.Hello, on connection: LinkConnection) -> [LinkAction] {
        receiving(receiver.called(hello, on: connection))
    }

    /// A frame has come on a connection that was dialled.
    mutating func answered(_ frame: LinkFrame, on connection: LinkConnection, now: NIODeadline) -> [LinkAction] {
        sending(sender.received(frame, on: connection, now: now))
    }

    /// Something that is no frame has come on a connection that was dialled.
    mutating func malformed(_ connection: LinkConnection, now: NIODeadline) -> [LinkAction] {
        sending(sender.malformed(connection, now: now))
    }

    /// A message has come on a connection that the node dialled.
    mutating func received(
        _ message: NodeMessage, seq: UInt64, on connection: LinkConnection, now: NIODeadline
    ) -> [LinkAction] {
        receiving(receiver.received(message, seq: seq, on: connection, now: now))
    }

    /// A connection has closed; nothing had come on it for as long as `silence`.
    mutating func disconnected(_ connection: LinkConnection, silence: TimeAmount, now: NIODeadline) -> [LinkAction] {
        switch connection {
        case .outbound: return sending(sender.disconnected(connection, silence: silence, now: now))
        case .inbound:
            receiver.disconnected(connection, silence: silence, now: now)
            return []
        }
    }

    /// The presence of `incarnation` was seen to vanish. A hint: while the node is on either line, nothing happens.
    mutating func presenceGone(_ incarnation: Incarnation) -> [LinkAction] {
        if isConnected { return [] }
        let actions = sender.presenceGone(incarnation)
        return actions.isEmpty ? receiving(receiver.presenceGone(incarnation)) : sending(actions)
    }

    /// Time has passed.
    mutating func timerFired(now: NIODeadline) -> [LinkAction] {
        let actions = sending(sender.timerFired(now: now))
        // If the first half has found a loss, the second has nothing left to find.
        return actions + receiving(receiver.timerFired(now: now))
    }

    /// Lets the receiving half go as well if the sending one has found a loss.
    private mutating func sending(_ actions: [LinkAction]) -> [LinkAction] {
        guard let index = Self.loss(in: actions) else { return actions }
        return Array(actions[..<index]) + receiver.end() + Array(actions[index...])
    }

    /// Lets the sending half go as well if the receiving one has found a loss. What that wants done afterwards (the
    /// welcome of the next association) stays behind the loss.
    private mutating func receiving(_ actions: [LinkAction]) -> [LinkAction] {
        guard let index = Self.loss(in: actions) else { return actions }
        return Array(actions[..<index]) + sender.end() + Array(actions[index...])
    }

    private static func loss(in actions: [LinkAction]) -> Int? {
        actions.firstIndex { if case .lost = $0 { true } else { false } }
    }
}
