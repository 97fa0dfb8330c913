// SPDX-License-Identifier: Apache-2.0

package import NIOCore
internal import Pacing

/// The rules of one WebSocket connection (RFC 6455) above the framing: masks, reserved bits, opcodes, the order of
/// fragments, lengths, UTF-8, pings and pongs, and the close handshake. No extension, text messages only.
///
/// Pure: frames and the time go in, actions come out. After every event the owner has to wake it up at ``deadline``.
package struct WebSocketRules: Sendable {
    /// One frame as it came, already unmasked.
    package struct Frame: Hashable, Sendable {
        package var isFinal: Bool
        /// Whether any of the three reserved bits is set.
        package var hasReservedBits: Bool
        /// Four bits (RFC 6455, section 5.2).
        package var opcode: UInt8
        package var isMasked: Bool
        package var data: ByteBuffer

        package init(isFinal: Bool, hasReservedBits: Bool, opcode: UInt8, isMasked: Bool, data: ByteBuffer) {
            self.isFinal = isFinal
            self.hasReservedBits = hasReservedBits
            self.opcode = opcode
            self.isMasked = isMasked
            self.data = data
        }
    }

    /// How far the connection is.
    enum State: Hashable, Sendable {
        /// Messages go both ways.
        case open(Heart, Message?)
        /// Our close frame is out, the peer's is not in: all else it sends is dropped, until `deadline`. `end` is
        /// what is still to be reported; nil when the owner knows.
        case closing(deadline: NIODeadline, end: End?)
        /// Both close frames exist; ours may still be on its way out.
        case finishing(deadline: NIODeadline)
        /// Nothing comes and nothing goes.
        case closed
    }

    /// The state of the pings.
    enum Heart: Hashable, Sendable {
        /// The next ping is due at `next`.
        case beating(next: NIODeadline)
        /// The ping with the number `number` is out, its answer due at `answer`; the one behind it at `next`.
        case waiting(number: UInt64, answer: NIODeadline, next: NIODeadline)
    }

    /// A message of which some frames are in.
    struct Message: Hashable, Sendable {
        var text: ByteBuffer
        var fragments: Int
        var validator: UTF8Validator
    }

    /// What the owner is told, once, about the end of the connection.
    package struct End: Hashable, Sendable {
        /// The code of the close frame that decided it; nil when there was none, or none in it.
        package var code: UInt16?
        package var reason: WebSocketClosing

        package init(code: UInt16?, reason: WebSocketClosing) {
            self.code = code
            self.reason = reason
        }
    }

    let role: WebSocketRole
    let limits: WebSocketLimits
    let heartbeat: WebSocketHeartbeat
    let interval: TimeAmount
    private var pings: UInt64 = 0
    private var state: State
    /// The control frames that the peer may send, and whatever it may send while the connection is being closed.
    private var controlPace: Pace

    /// A connection whose upgrade has just been done.
    ///
    /// - Parameter jitter: -1 to 1, chosen at random for each connection.
    package init(
        role: WebSocketRole, limits: WebSocketLimits = .init(), heartbeat: WebSocketHeartbeat = .init(),
        jitter: Double, now: NIODeadline
    ) {
        self.role = role
        self.limits = limits
        self.heartbeat = heartbeat
        self.interval = heartbeat.interval(jitter: jitter)
        self.state = .open(.beating(next: now + self.interval), nil)
        self.controlPace = Pace(now: now)
    }

    /// When ``timerFired(now:)`` has to be called at the latest; nil when time changes nothing any more.
    package var deadline: NIODeadline? {
        switch state {
        case .open(.beating(let next), _): next
        case .open(.waiting(_, let answer, _), _): answer
        case .closing(let deadline, _): deadline
        case .finishing(let deadline): deadline
        case .closed: nil
        }
    }

    /// Whether messages may be sent.
    package var isOpen: Bool {
        switch state {
        case .open: true
        case .closing, .finishing, .closed: false
        }
    }

    // MARK: - Time

    /// What to do when time has passed.
    package enum TimerAction: Hashable, Sendable {
        case nothing
        /// Send a ping with this content.
        case sendPing(ByteBuffer)
        /// Send a close frame, report `end`; nothing more is to be delivered.
        case fail(End)
        /// Close the connection now, whatever is still in it; report `end` unless it is nil.
        case closeConnection(End?)
    }

    /// The time is `now`. Harmless when nothing is due.
    package mutating func timerFired(now: NIODeadline) -> TimerAction {
        switch state {
        case .open(.beating(let next), let message):
            guard next <= now else { return .nothing }
            pings &+= 1
            state = .open(
                .waiting(number: pings, answer: now + heartbeat.answerWithin, next: now + interval), message
            )
            return .sendPing(ByteBuffer(integer: pings))
        case .open(.waiting(_, let answer, _), _):
            guard answer <= now else { return .nothing }
            return .fail(fail(.unansweredPing, now: now))
        case .closing(let deadline, let end):
            guard deadline <= now else { return .nothing }
            state = .closed
            return .closeConnection(end)
        case .finishing(let deadline):
            guard deadline <= now else { return .nothing }
            state = .closed
            return .closeConnection(nil)
        case .closed:
            return .nothing
        }
    }

    // MARK: - The owner's wishes

    /// What to do when this side wants to close.
    package enum CloseAction: Hashable, Sendable {
        /// A close is already under way.
        case nothing
        /// Send a close frame with the code that was asked for.
        case sendClose
    }

    /// This side neither takes nor sends messages from now on. The end is reported when the peer has answered, or has
    /// not for ``ProtocolDefaults/closeTimeout``.
    package mutating func closeRequested(code: UInt16, now: NIODeadline) -> CloseAction {
        switch state {
        case .open:
            state = .closing(deadline: now + ProtocolDefaults.closeTimeout, end: End(code: code, reason: .local))
            return .sendClose
        case .closing, .finishing, .closed:
            return .nothing
        }
    }

    // MARK: - The connection

    /// What to do when the peer did something that no frame stands for.
    package enum FailureAction: Hashable, Sendable {
        case nothing
        /// The connection is being closed anyway; nothing more is to be read.
        case unreadable
        /// Send a close frame with the end's code, and report the end; nothing more is to be delivered.
        case fail(End)
    }

    /// What came in is not a sequence of frames, so nothing behind it can be read; or nothing behind it is worth
    /// reading.
    package mutating func framingFailed(_ violation: WebSocketViolation, now: NIODeadline) -> FailureAction {
        switch state {
        case .open:
            let end = fail(violation, now: now)
            state = .closing(deadline: now + ProtocolDefaults.lingerTimeout, end: nil)
            return .fail(end)
        case .closing(let deadline, let end):
            state = .closing(deadline: min(deadline, now + ProtocolDefaults.lingerTimeout), end: end)
            return .unreadable
        case .finishing, .closed:
            return .unreadable
        }
    }

    /// A frame is about to be taken in, of which only the head has been read: counts it, before it costs anything.
    ///
    /// Messages have limits of their own, where it is known whose they are. Control frames have theirs here, and so has
    /// whatever comes once the connection is being closed.
    package mutating func frameArrived(isControl: Bool, now: NIODeadline) -> FailureAction {
        switch state {
        case .open: guard isControl else { return .nothing }
        case .closing: break
        case .finishing, .closed: return .unreadable
        }
        if controlPace.take(1, of: limits.controlFrames, now: now) { return .nothing }
        return framingFailed(.tooManyControlFrames, now: now)
    }

    /// The connection was not read for `time`: an answer to a ping may lie there unread, and is due that much later.
    package mutating func heldBack(for time: TimeAmount) {
        guard case .open(.waiting(let number, let answer, let next), let message) = state else { return }
        state = .open(.waiting(number: number, answer: answer + time, next: next), message)
    }

    /// More than ``WebSocketLimits/pendingBytes`` wait for the peer to read them.
    package mutating func peerStalled(now: NIODeadline) -> FailureAction {
        switch state {
        case .open: .fail(fail(.slowReader, now: now))
        case .closing, .finishing, .closed: .nothing
        }
    }

    /// What to do when a close frame of ours has left.
    package enum CloseSentAction: Hashable, Sendable {
        case nothing
        case closeConnection
    }

    /// Our close frame has been handed to the network.
    package mutating func closeSent() -> CloseSentAction {
        switch state {
        case .finishing:
            state = .closed
            return .closeConnection
        case .open, .closing, .closed:
            return .nothing
        }
    }

    /// What to do when the connection is gone.
    package enum GoneAction: Hashable, Sendable {
        case nothing
        case report(End)
    }

    /// The connection is gone; either side may have ended it.
    package mutating func connectionClosed() -> GoneAction {
        defer { state = .closed }
        switch state {
        case .open: return .report(End(code: nil, reason: .lost))
        case .closing(_, let end): return end.map(GoneAction.report) ?? .nothing
        case .finishing, .closed: return .nothing
        }
    }

    /// Stops taking frames because of `violation`.
    private mutating func fail(_ violation: WebSocketViolation, now: NIODeadline) -> End {
        state = .closing(deadline: now + ProtocolDefaults.closeTimeout, end: nil)
        return End(code: violation.closeCode.rawValue, reason: .violation(violation))
    }
}

extension WebSocketRules {
    /// What to do with a frame that came in.
    package enum FrameAction: Hashable, Sendable {
        case nothing
        /// A message is complete.
        case deliver(ByteBuffer)
        /// Send a pong with this content. When several wait to be sent, the last one is enough (RFC 6455, section
        /// 5.5.3).
        case sendPong(ByteBuffer)
        /// The peer closes: answer with a close frame of the same code (empty without one), report `end`, and close
        /// the connection once the frame is out.
        case answerClose(End)
        /// The peer broke a rule: send a close frame with the end's code, and report the end.
        case fail(End)
        /// The peer has answered our close: close the connection, and report `end` unless it is nil.
        case closeConnection(End?)
    }

    /// A frame came in.
    package mutating func frameReceived(_ frame: Frame, now: NIODeadline) -> FrameAction {
        switch state {
        case .open(let heart, let message):
            if let violation = headViolation(of: frame) { return .fail(fail(violation, now: now)) }
            switch Opcode(rawValue: frame.opcode) {
            case .ping: return .sendPong(frame.data)
            case .pong: return pongReceived(frame.data, heart: heart, message: message, now: now)
            case .close: return closeReceived(frame.data, now: now)
            case .text, .continuation: return dataReceived(frame, heart: heart, message: message, now: now)
            case .binary: return .fail(fail(.binaryMessage, now: now))
            case nil: return .fail(fail(.unknownOpcode, now: now))
            }
        case .closing(_, let end):
            // Whatever else comes now is dropped, right or wrong: the connection is over (RFC 6455, section 7.1.7).
            guard Opcode(rawValue: frame.opcode) == .close else { return .nothing }
            state = .closed
            return .closeConnection(end)
        case .finishing, .closed:
            return .nothing
        }
    }

    private enum Opcode: UInt8 {
        case continuation = 0x0
        case text = 0x1
        case binary = 0x2
        case close = 0x8
        case ping = 0x9
        case pong = 0xA

        static func isControl(_ opcode: UInt8) -> Bool { opcode & 0x8 != 0 }
    }

    /// The longest content of a control frame in bytes (RFC 6455, section 5.5).
    private static var maximumControlLength: Int { 125 }

    private func headViolation(of frame: Frame) -> WebSocketViolation? {
        switch role {
        case .server: if !frame.isMasked { return .unmaskedFrame }
        case .client: if frame.isMasked { return .maskedFrame }
        }
        if frame.hasReservedBits { return .reservedBits }
        if Opcode.isControl(frame.opcode) {
            if !frame.isFinal { return .fragmentedControlFrame }
            if frame.data.readableBytes > Self.maximumControlLength { return .longControlFrame }
        }
        return nil
    }

    private mutating func pongReceived(
        _ content: ByteBuffer, heart: Heart, message: Message?, now: NIODeadline
    ) -> FrameAction {
        switch heart {
        case .waiting(let number, _, let next):
            // Unasked pongs are allowed and mean nothing (RFC 6455, section 5.5.3).
            guard content == ByteBuffer(integer: number) else { return .nothing }
            state = .open(.beating(next: max(next, now)), message)
        case .beating:
            break
        }
        return .nothing
    }

    private mutating func closeReceived(_ content: ByteBuffer, now: NIODeadline) -> FrameAction {
        var content = content
        var end = End(code: nil, reason: .peer(""))
        if content.readableBytes > 0 {
            guard let code = content.readInteger(as: UInt16.self) else { return .fail(fail(.malformedClose, now: now)) }
            guard WebSocketCloseCode.isAllowedInFrame(code) else { return .fail(fail(.invalidCloseCode, now: now)) }
            var validator = UTF8Validator()
            guard validator.accept(content.readableBytesView), validator.isComplete else {
                return .fail(fail(.invalidUTF8, now: now))
            }
            end = End(code: code, reason: .peer(String(buffer: content)))
        }
        state = .finishing(deadline: now + ProtocolDefaults.closeTimeout)
        return .answerClose(end)
    }

    private mutating func dataReceived(
        _ frame: Frame, heart: Heart, message: Message?, now: NIODeadline
    ) -> FrameAction {
        var validator: UTF8Validator
        var length = frame.data.readableBytes
        switch (message, frame.opcode == Opcode.continuation.rawValue) {
        case (nil, true): return .fail(fail(.unexpectedContinuation, now: now))
        case (.some, false): return .fail(fail(.interleavedMessage, now: now))
        case (nil, false): validator = UTF8Validator()
        case (let message?, true):
            guard message.fragments < ProtocolDefaults.fragments else {
                return .fail(fail(.tooManyFragments, now: now))
            }
            validator = message.validator
            length += message.text.readableBytes
        }
        guard length <= MessageCodec.maximumLength else { return .fail(fail(.messageTooLong, now: now)) }
        guard validator.accept(frame.data.readableBytesView), validator.isComplete || !frame.isFinal else {
            return .fail(fail(.invalidUTF8, now: now))
        }
        if frame.isFinal, message == nil { return .deliver(frame.data) }
        // The pieces are copied out: a few bytes must not keep the whole buffer alive that they were read into.
        state = .open(heart, nil)
        var text = message?.text ?? ByteBuffer()
        text.writeImmutableBuffer(frame.data)
        if frame.isFinal { return .deliver(text) }
        let fragments = (message?.fragments ?? 0) + 1
        state = .open(heart, Message(text: text, fragments: fragments, validator: validator))
        return .nothing
    }
}
