// SPDX-License-Identifier: Apache-2.0

package import NIOCore

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
