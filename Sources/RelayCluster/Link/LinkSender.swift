// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// The caller's half of a link: gets each message to the other node's process exactly once and in order, or finds out
/// that it is lost.
///
/// A pure value. Each event has one method, which returns what to do.
struct LinkSender: Sendable {
    /// How far the way to the other node is.
    enum State: Hashable, Sendable {
        /// There is no association; the next message begins one.
        case idle
        case resolving
        case dialing(NodeAddress)
        /// `hello` was said.
        case greeting(NodeAddress, until: NIODeadline)
        case open(NodeAddress, since: NIODeadline)
        /// Until the next attempt.
        case pausing(NodeAddress, until: NIODeadline)
    }

    /// A message that was not acknowledged yet.
    private struct Waiting: Sendable {
        var seq: UInt64
        var text: ByteBuffer
    }

    private let me: NodeInstance
    private let other: NodeID
    private let timing: LinkTiming
    private(set) var state = State.idle
    /// The number of the association, or of the last one.
    private(set) var association: UInt64
    /// Numbers connections and questions to the address book; whatever names an earlier one is out of date.
    private var attempt: UInt64 = 0
    private var waiting = CircularBuffer<Waiting>()
    private var waitingBytes = 0
    private var lastSeq: UInt64 = 0
    private var acked: UInt64 = 0
    /// When the node is lost unless it is reached before; nil while it is.
    private var lossAt: NIODeadline?
    private var pause = TimeAmount.zero

    /// - Parameter association: a number that no association of this process with the other node has exceeded.
    init(me: NodeInstance, other: NodeID, association: UInt64 = 0, timing: LinkTiming = LinkTiming()) {
        self.me = me
        self.other = other
        self.association = association
        self.timing = timing
    }

    /// Whether the other node has answered on a connection that is still there.
    var isOpen: Bool {
        if case .open = state { return true }
        return false
    }

    /// Messages that wait for an acknowledgement.
    var waitingMessages: Int { waiting.count }

    /// Whether a quarter of what may wait does. Requests of clients are dropped from then on: a client asks again, and
    /// a flood of them is to end no link.
    private var hasBacklog: Bool {
        waiting.count >= timing.unackedMessages / 4 || waitingBytes >= timing.unackedBytes / 4
    }

    private var connection: LinkConnection { .outbound(attempt) }

    // MARK: - Events

    /// There is something to say.
    mutating func send(_ message: NodeMessage, now: NIODeadline) -> [LinkAction] {
        var actions: [LinkAction] = []
        if case .ask = message, hasBacklog { return [] }
        if state == .idle { actions = begin(now) }
        let frame = LinkFrame.message(seq: lastSeq + 1, message)
        guard let text = try? LinkCodec.encode(frame), text.readableBytes <= MessageCodec.maximumLength else {
            return lose(.unsendable)
        }
        guard waiting.count < timing.unackedMessages, waitingBytes + text.readableBytes <= timing.unackedBytes else {
            return lose(.overflow)
        }
        lastSeq += 1
        waiting.append(Waiting(seq: lastSeq, text: text))
        waitingBytes += text.readableBytes
        return isOpen ? [.write(text, connection)] : actions
    }

    /// The address book has answered.
    mutating func resolved(_ address: NodeAddress?, attempt: UInt64) -> [LinkAction] {
        guard attempt == self.attempt, state == .resolving else { return [] }
        guard let address else { return lose(.unknown) }
        state = .dialing(address)
        return [.dial(address, connection)]
    }

    /// The upgrade is done.
    mutating func connected(_ connection: LinkConnection, now: NIODeadline) -> [LinkAction] {
        guard connection == self.connection, case .dialing(let address) = state else { return [.close(connection)] }
        state = .greeting(address, until: now + timing.greeting)
        let hello = LinkFrame.Hello(
            node: me.node, incarnation: me.incarnation, to: other, toIncarnation: address.incarnation,
            association: association)
        return [.say(.hello(hello), connection)]
    }

    /// There will be no such connection.
    mutating func dialFailed(_ connection: LinkConnection, refused: Bool, now: NIODeadline) -> [LinkAction] {
        guard connection == self.connection, case .dialing(let address) = state else { return [] }
        if refused { return lose(.refused) }
        return retry(address, now)
    }

    /// The other side has spoken.
    mutating func received(_ frame: LinkFrame, on connection: LinkConnection, now: NIODeadline) -> [LinkAction] {
        guard connection == self.connection else { return [] }
        switch (state, frame) {
        case (.greeting(let address, _), .welcome(let welcome)):
            return welcomed(welcome, address, now)
        case (.open, .ack(let seq)) where seq > acked && seq <= lastSeq:
            drop(upTo: seq)
            return []
        case (.greeting, _), (.open, _), (.idle, _), (.resolving, _), (.dialing, _), (.pausing, _):
            return malformed(connection, now: now)
        }
    }

    /// The other side has said something that has no meaning here.
    mutating func malformed(_ connection: LinkConnection, now: NIODeadline) -> [LinkAction] {
        guard connection == self.connection else { return [] }
        switch state {
        case .greeting(let address, _):
            return [.reject(connection)] + retry(address, now)
        case .open(let address, _):
            lossAt = now + timing.loss
            return [.reject(connection)] + retry(address, now)
        case .idle, .resolving, .dialing, .pausing:
            return []
        }
    }

    /// A connection has closed.
    ///
    /// - Parameter silence: for how long nothing had come on it.
    mutating func disconnected(_ connection: LinkConnection, silence: TimeAmount, now: NIODeadline) -> [LinkAction] {
        guard connection == self.connection else { return [] }
        switch state {
        case .idle, .resolving, .pausing: return []
        case .dialing(let address), .greeting(let address, _): return retry(address, now)
        case .open(let address, let since):
            lossAt = now - silence + timing.loss
            // One that did not live for long is dialled again like one that could not be.
            guard now - since >= timing.longestPause else { return retry(address, now) }
            pause = .zero
            attempt += 1
            state = .dialing(address)
            return [.dial(address, self.connection)]
        }
    }

    /// The presence of `incarnation` was seen to vanish. Only a hint: a node that answers stays.
    mutating func presenceGone(_ incarnation: Incarnation) -> [LinkAction] {
        switch state {
        case .idle, .resolving, .open: []
        case .dialing(let address), .greeting(let address, _), .pausing(let address, _):
            address.incarnation == incarnation ? lose(.gone) : []
        }
    }

    /// When `timerFired` has to be called next.
    var deadline: NIODeadline? {
        let step: NIODeadline? =
            switch state {
            case .idle, .resolving, .dialing, .open: nil
            case .greeting(_, let until), .pausing(_, let until): until
            }
        guard let step, let lossAt else { return step ?? lossAt }
        return min(step, lossAt)
    }

    /// Time has passed.
    mutating func timerFired(now: NIODeadline) -> [LinkAction] {
        if let lossAt, now >= lossAt { return lose(.unreachable) }
        switch state {
        case .greeting(let address, let until) where now >= until:
            let late = connection
            return [.close(late)] + retry(address, now)
        case .pausing(let address, let until) where now >= until:
            state = .dialing(address)
            return [.dial(address, connection)]
        case .idle, .resolving, .dialing, .greeting, .open, .pausing:
            return []
        }
    }

    /// The association is over: because of what the other half of the link has found out.
    mutating func end() -> [LinkAction] {
        defer {
            attempt += 1
            state = .idle
            waiting = CircularBuffer()
            waitingBytes = 0
            lossAt = nil
        }
        switch state {
        case .idle, .resolving, .pausing: return []
        case .dialing, .greeting, .open: return [.close(connection)]
        }
    }

    // MARK: - Rules

    private mutating func begin(_ now: NIODeadline) -> [LinkAction] {
        association += 1
        attempt += 1
        lastSeq = 0
        acked = 0
        pause = .zero
        lossAt = now + timing.loss
        state = .resolving
        return [.resolve(attempt: attempt)]
    }

    private mutating func welcomed(
        _ welcome: LinkFrame.Welcome, _ address: NodeAddress, _ now: NIODeadline
    ) -> [LinkAction] {
        guard welcome.node == other else { return malformed(connection, now: now) }
        guard welcome.incarnation == address.incarnation else { return lose(.replaced) }
        guard let received = welcome.received else { return lose(.released) }
        guard received >= acked, received <= lastSeq else { return malformed(connection, now: now) }
        drop(upTo: received)
        state = .open(address, since: now)
        lossAt = nil
        return waiting.map { .write($0.text, connection) }
    }

    private mutating func drop(upTo seq: UInt64) {
        acked = seq
        while let first = waiting.first, first.seq <= seq {
            waitingBytes -= first.text.readableBytes
            waiting.removeFirst()
        }
    }

    private mutating func retry(_ address: NodeAddress, _ now: NIODeadline) -> [LinkAction] {
        pause = min(max(pause + pause, timing.shortestPause), timing.longestPause)
        attempt += 1
        state = .pausing(address, until: now + pause)
        return []
    }

    private mutating func lose(_ reason: LinkLoss) -> [LinkAction] {
        end() + [.lost(reason)]
    }
}
