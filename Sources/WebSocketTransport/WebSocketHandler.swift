// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import NIOWebSocket
package import WSProtocol

/// Runs ``WebSocketRules`` on a channel: frames in front of it, whole text messages behind it.
///
/// An idle connection costs this object and one timer; no buffer outlives the message it belongs to.
package final class WebSocketHandler: ChannelDuplexHandler {
    package typealias InboundIn = WebSocketFrame
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = WebSocketFrame

    private let role: WebSocketRole
    private let limits: WebSocketLimits
    private let heartbeat: WebSocketHeartbeat
    /// Nil until the channel is active.
    private var rules: WebSocketRules?
    private var context: ChannelHandlerContext?
    private var timer: Timer?
    /// Bytes of messages that were written while the channel was not writable and have not left yet.
    private var pendingBytes = 0
    /// The pong to send once the peer reads again. Older ones need no answer (RFC 6455, section 5.5.3), so a flood of
    /// pings by a peer who does not read costs nothing.
    private var pendingPong: ByteBuffer?
    /// Whether something was written that has to be flushed at the end of the read.
    private var needsFlush = false

    private struct Timer {
        var deadline: NIODeadline
        var task: Scheduled<Void>
    }

    /// - Parameters:
    ///   - limits: what is taken from the peer, and the waiting times of the close handshake.
    ///   - heartbeat: the interval of the pings; a random quarter more or less is applied here.
    package init(role: WebSocketRole, limits: WebSocketLimits = .init(), heartbeat: WebSocketHeartbeat = .init()) {
        self.role = role
        self.limits = limits
        self.heartbeat = heartbeat
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { start(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        stop()
        self.context = nil
    }

    package func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        switch rules?.connectionClosed() ?? .nothing {
        case .report(let end): report(end, context)
        case .nothing: break
        }
        stop()
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = Self.unwrapInboundIn(data)
        let action = rules?.frameReceived(WebSocketRules.Frame(frame), now: context.eventLoop.now)
        switch action ?? .nothing {
        case .nothing: break
        case .deliver(let text): context.fireChannelRead(Self.wrapInboundOut(text))
        case .sendPong(let content): sendPong(content, context)
        case .answerClose(let end):
            // First: the answer may leave at once, and the connection with it.
            report(end, context)
            sendClose(end.code, context)
        case .fail(let end): fail(end, context)
        case .closeConnection(let end): closeConnection(end, context)
        }
        arm(context)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        if needsFlush {
            needsFlush = false
            context.flush()
        }
        context.fireChannelReadComplete()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, let content = pendingPong {
            pendingPong = nil
            send(.pong, content, context, promise: nil)
            context.flush()
        }
        context.fireChannelWritabilityChanged()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is ByteToMessageDecoderError { return }  // More bytes behind those that were no frame.
        guard let error = error as? NIOWebSocketError else {
            context.fireErrorCaught(error)
            context.close(promise: nil)
            return
        }
        switch rules?.framingFailed(WebSocketViolation(error), now: context.eventLoop.now) ?? .nothing {
        case .nothing: break
        case .fail(let end): fail(end, context)
        }
        arm(context)
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let text = Self.unwrapOutboundIn(data)
        guard rules?.isOpen == true else { return refuse(promise, .closed) }
        guard text.readableBytes <= limits.messageLength else { return refuse(promise, .messageTooLong) }
        if context.channel.isWritable { return send(.text, text, context, promise: promise) }
        guard pendingBytes + text.readableBytes <= limits.pendingBytes else {
            peerStalled(context)
            return refuse(promise, .slowReader)
        }
        sendCounted(text, context, promise: promise)
    }

    package func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        guard case .close(let code)? = event as? WebSocketCommand else {
            context.triggerUserOutboundEvent(event, promise: promise)
            return
        }
        let allowed = WebSocketCloseCode.isAllowedInFrame(code) ? code : WebSocketCloseCode.internalError.rawValue
        switch rules?.closeRequested(code: allowed, now: context.eventLoop.now) ?? .nothing {
        case .nothing: break
        case .sendClose: sendClose(allowed, context)
        }
        arm(context)
        promise?.succeed()
    }

    // MARK: - Running the rules

    private func start(_ context: ChannelHandlerContext) {
        guard rules == nil else { return }
        rules = WebSocketRules(
            role: role, limits: limits, heartbeat: heartbeat, jitter: .random(in: -1...1), now: context.eventLoop.now
        )
        arm(context)
    }

    private func stop() {
        timer?.task.cancel()
        timer = nil
        pendingPong = nil
    }

    private func timerFired() {
        timer = nil
        guard let context else { return }
        switch rules?.timerFired(now: context.eventLoop.now) ?? .nothing {
        case .nothing: break
        case .sendPing(let content):
            send(.ping, content, context, promise: nil)
            context.flush()
        case .fail(let end): fail(end, context)
        case .closeConnection(let end): closeConnection(end, context)
        }
        arm(context)
    }

    /// Sees to it that a timer fires at the rules' deadline. One that fires earlier stays: firing early is harmless,
    /// and cheaper than a new timer for every pong.
    private func arm(_ context: ChannelHandlerContext) {
        guard let deadline = rules?.deadline, self.context != nil else { return stop() }
        if let timer {
            if timer.deadline <= deadline { return }
            timer.task.cancel()
        }
        let task = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            self?.timerFired() ?? ()
        }
        timer = Timer(deadline: deadline, task: task)
    }

    private func peerStalled(_ context: ChannelHandlerContext) {
        switch rules?.peerStalled(now: context.eventLoop.now) ?? .nothing {
        case .nothing: break
        case .fail(let end): fail(end, context)
        }
        arm(context)
    }

    private func fail(_ end: WebSocketRules.End, _ context: ChannelHandlerContext) {
        report(end, context)
        sendClose(end.code, context)
    }

    private func closeConnection(_ end: WebSocketRules.End?, _ context: ChannelHandlerContext) {
        if let end { report(end, context) }
        context.close(promise: nil)
    }

    private func report(_ end: WebSocketRules.End, _ context: ChannelHandlerContext) {
        context.fireUserInboundEventTriggered(WebSocketEvent.closed(code: end.code, reason: end.reason))
    }

    // MARK: - Frames out

    private func send(
        _ opcode: WebSocketOpcode, _ content: ByteBuffer, _ context: ChannelHandlerContext,
        promise: EventLoopPromise<Void>?
    ) {
        let maskKey: WebSocketMaskingKey? = role == .client ? .random() : nil
        let frame = WebSocketFrame(fin: true, opcode: opcode, maskKey: maskKey, data: content)
        context.write(Self.wrapOutboundOut(frame), promise: promise)
    }

    private func sendPong(_ content: ByteBuffer, _ context: ChannelHandlerContext) {
        guard context.channel.isWritable else {
            pendingPong = content
            return
        }
        send(.pong, content, context, promise: nil)
        needsFlush = true
    }

    private func sendClose(_ code: UInt16?, _ context: ChannelHandlerContext) {
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenSuccess { [weak self] in self?.closeSent() ?? () }
        send(.connectionClose, code.map { ByteBuffer(integer: $0) } ?? ByteBuffer(), context, promise: sent)
        pendingPong = nil
        context.flush()
    }

    private func closeSent() {
        guard let context else { return }
        switch rules?.closeSent() ?? .nothing {
        case .nothing: break
        case .closeConnection: closeConnection(nil, context)
        }
    }

    private func sendCounted(_ text: ByteBuffer, _ context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        let length = text.readableBytes
        pendingBytes += length
        let promise = promise ?? context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { [weak self] _ in self?.pendingBytes -= length }
        send(.text, text, context, promise: promise)
    }

    private func refuse(_ promise: EventLoopPromise<Void>?, _ error: WebSocketWriteError) {
        promise?.fail(error)
    }
}

@available(*, unavailable)
extension WebSocketHandler: Sendable {}

extension WebSocketRules.Frame {
    fileprivate init(_ frame: WebSocketFrame) {
        self.init(
            isFinal: frame.fin, hasReservedBits: !frame.reservedBits.isEmpty,
            opcode: UInt8(webSocketOpcode: frame.opcode), isMasked: frame.maskKey != nil, data: frame.unmaskedData
        )
    }
}

extension WebSocketViolation {
    fileprivate init(_ error: NIOWebSocketError) {
        switch error {
        case .invalidFrameLength: self = .messageTooLong
        case .fragmentedControlFrame: self = .fragmentedControlFrame
        case .multiByteControlFrameLength: self = .longControlFrame
        }
    }
}
