// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// The answering half of a link: passes each of the caller's messages on once and in order, and finds out when the
/// caller's process is lost.
///
/// A pure value. Each event has one method, which returns what to do.
struct LinkReceiver: Sendable {
    /// What is known of the caller.
    enum State: Hashable, Sendable {
        /// The caller has never called.
        case none
        case active(Association)
        /// The association of this number, and each before it, is over.
        case ended(Incarnation, association: UInt64)
    }

    /// One process of the caller speaking to this one.
    struct Association: Hashable, Sendable {
        var incarnation: Incarnation
        var number: UInt64
        /// The number of the last message that has come.
        var received: UInt64 = 0
        var line: Line
    }

    /// Where an association's messages come from.
    enum Line: Hashable, Sendable {
        case connected(LinkConnection)
        /// The caller is lost then, unless it calls before.
        case broken(lossAt: NIODeadline)
    }

    private let me: NodeInstance
    private let timing: LinkTiming
    private(set) var state = State.none

    init(me: NodeInstance, timing: LinkTiming = LinkTiming()) {
        self.me = me
        self.timing = timing
    }

    /// Whether the caller is on the line.
    var isConnected: Bool {
        if case .active(let association) = state, case .connected = association.line { return true }
        return false
    }

    // MARK: - Events

    /// The caller, whose certificate was checked, says what it goes on with.
    mutating func called(_ hello: LinkFrame.Hello, on connection: LinkConnection) -> [LinkAction] {
        guard hello.to == me.node else { return [.reject(connection)] }
        if let wanted = hello.toIncarnation, wanted != me.incarnation { return turnAway(connection) }
        switch state {
        case .none:
            return begin(hello, connection)
        case .active(var association) where association.incarnation == hello.incarnation:
            if hello.association < association.number { return turnAway(connection) }
            if hello.association > association.number { return lose(.released) + begin(hello, connection) }
            var actions: [LinkAction] = []
            if case .connected(let old) = association.line { actions.append(.close(old)) }
            association.line = .connected(connection)
            state = .active(association)
            return actions + [welcome(received: association.received, connection)]
        case .active:
            return lose(.replaced) + begin(hello, connection)
        case .ended(let incarnation, let number):
            let isOver = incarnation == hello.incarnation && hello.association <= number
            return isOver ? turnAway(connection) : begin(hello, connection)
        }
    }

    /// A message has come.
    mutating func received(
        _ message: NodeMessage, seq: UInt64, on connection: LinkConnection, now: NIODeadline
    ) -> [LinkAction] {
        guard case .active(var association) = state, association.line == .connected(connection) else { return [] }
        // Sent again, because the acknowledgement was lost with a connection.
        guard seq > association.received else { return [] }
        guard seq - 1 == association.received else {
            association.line = .broken(lossAt: now + timing.loss)
            state = .active(association)
            return [.reject(connection)]
        }
        association.received = seq
        state = .active(association)
        return [.deliver(message, from: association.incarnation), .say(.ack(seq), connection)]
    }

    /// A connection has closed.
    ///
    /// - Parameter silence: for how long nothing had come on it.
    mutating func disconnected(_ connection: LinkConnection, silence: TimeAmount, now: NIODeadline) {
        guard case .active(var association) = state, association.line == .connected(connection) else { return }
        association.line = .broken(lossAt: now - silence + timing.loss)
        state = .active(association)
    }

    /// The presence of `incarnation` was seen to vanish. Only a hint: a node that is connected stays.
    mutating func presenceGone(_ incarnation: Incarnation) -> [LinkAction] {
        guard case .active(let association) = state, association.incarnation == incarnation, !isConnected else {
            return []
        }
        return lose(.gone)
    }

    /// When `timerFired` has to be called next.
    var deadline: NIODeadline? {
        if case .active(let association) = state, case .broken(let lossAt) = association.line { return lossAt }
        return nil
    }

    /// Time has passed.
    mutating func timerFired(now: NIODeadline) -> [LinkAction] {
        guard let deadline, now >= deadline else { return [] }
        return lose(.unreachable)
    }

    /// The association is over: because of what the other half of the link has found out.
    mutating func end() -> [LinkAction] {
        guard case .active(let association) = state else { return [] }
        state = .ended(association.incarnation, association: association.number)
        if case .connected(let connection) = association.line { return [.close(connection)] }
        return []
    }

    // MARK: - Rules

    private mutating func begin(_ hello: LinkFrame.Hello, _ connection: LinkConnection) -> [LinkAction] {
        state = .active(
            Association(incarnation: hello.incarnation, number: hello.association, line: .connected(connection)))
        return [welcome(received: 0, connection)]
    }

    private func turnAway(_ connection: LinkConnection) -> [LinkAction] {
        [welcome(received: nil, connection), .close(connection)]
    }

    private func welcome(received: UInt64?, _ connection: LinkConnection) -> LinkAction {
        .say(.welcome(.init(node: me.node, incarnation: me.incarnation, received: received)), connection)
    }

    private mutating func lose(_ reason: LinkLoss) -> [LinkAction] {
        end() + [.lost(reason)]
    }
}
