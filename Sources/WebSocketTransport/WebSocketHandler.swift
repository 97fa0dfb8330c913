// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import NIOWebSocket
package import WSProtocol

/// Runs ``WebSocketRules`` on a channel: bytes come in from the front and frames go out there; behind it are whole text
/// messages.
///
/// Frames are taken out of the bytes one by one, each only when it is wanted: once nothing more is to be heard, or not
/// now, what was read stays as it is, or is dropped, unparsed.
///
/// An idle connection costs this object and one timer; no buffer outlives the message it belongs to.
package final class WebSocketHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
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
    /// pings by a peer that does not read costs nothing.
    private var pendingPong: ByteBuffer?
    /// Whether something was written that has to be flushed at the end of the read.
    private var needsFlush = false
    /// What was read and not yet understood: the beginning of a frame, or everything since ``WebSocketCommand/hold``.
    private var unread: ByteBuffer?
    /// Since when nothing is delivered.
    private var heldSince: NIODeadline?
    /// Whether frames are being taken out of ``unread``: a message that is delivered may let reading go on.
    private var isParsing = false
    /// Set once nothing of this connection is to be heard any more.
    private var isDeaf = false
    private var isReadHeldBack = false

    private struct Timer {
        var deadline: NIODeadline
        var task: Scheduled<Void>
    }

    /// - Parameters:
    ///   - limits: what is taken from the peer and kept for it.
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

    package func read(context: ChannelHandlerContext) {
        if heldSince == nil && !isDeaf { context.read() } else { isReadHeldBack = true }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDeaf else { return }
        var bytes = Self.unwrapInboundIn(data)
        guard unread == nil else {
            unread?.writeBuffer(&bytes)
            // A read may be on its way when reading stops, and a connection that its peer has ended is read to its end.
            if let unread, heldSince != nil, unread.readableBytes > ProtocolDefaults.heldBytes { return deafen() }
            return parse(context)
        }
        unread = bytes
        parse(context)
        // What is kept is copied out: a few bytes must not keep the whole buffer alive that they were read into.
        unread = unread.map { ByteBuffer(bytes: $0.readableBytesView) }
    }

    /// Takes the frames out of what was read, for as long as they are wanted.
    private func parse(_ context: ChannelHandlerContext) {
        guard !isParsing else { return }
        isParsing = true
        while heldSince == nil, !isDeaf, let frame = nextFrame(context) {
            run(rules?.frameReceived(frame, now: context.eventLoop.now) ?? .nothing, context)
        }
        isParsing = false
        if let rest = unread {
            if rest.readableBytes == 0 { unread = nil }
            if rest.readerIndex > rest.readableBytes { unread?.discardReadBytes() }
        }
        arm(context)
    }

    /// The next whole frame, if it may come in.
    private func nextFrame(_ context: ChannelHandlerContext) -> WebSocketRules.Frame? {
        guard var bytes = unread else { return nil }
        do throws(WebSocketViolation) {
            let head = try WebSocketFrameHead(bytes, longest: MessageCodec.maximumLength)
            guard let head, head.isComplete(in: bytes) else { return nil }
            let verdict = rules?.frameArrived(isControl: head.isControl, now: context.eventLoop.now) ?? .nothing
            guard case .nothing = verdict else {
                stopHearing(verdict, context)
                return nil
            }
            let frame = head.takeFrame(from: &bytes)
            unread = bytes
            return frame
        } catch {
            stopHearing(rules?.framingFailed(error, now: context.eventLoop.now) ?? .nothing, context)
            return nil
        }
    }

    private func run(_ action: WebSocketRules.FrameAction, _ context: ChannelHandlerContext) {
        switch action {
        case .nothing: break
        case .deliver(let text): context.fireChannelRead(Self.wrapInboundOut(text))
        case .sendPong(let content): sendPong(content, context)
        case .answerClose(let end):
            deafen()
            // First: the answer may leave at once, and the connection with it.
            report(end, context)
            sendClose(end.code, context)
        case .fail(let end): fail(end, context)
        case .closeConnection(let end):
            deafen()
            closeConnection(end, context)
        }
    }

    /// Nothing behind what was read is to be heard: it is dropped as it is, and no more is read.
    private func stopHearing(_ action: WebSocketRules.FailureAction, _ context: ChannelHandlerContext) {
        deafen()
        if case .fail(let end) = action { fail(end, context) }
    }

    private func deafen() {
        isDeaf = true
        unread = nil
    }

    /// Tells the rules how long nothing was read.
    private func noteHeldBack(until now: NIODeadline) {
        guard let since = heldSince else { return }
        rules?.heldBack(for: now - since)
        heldSince = now
    }

    private func resume(_ context: ChannelHandlerContext) {
        guard heldSince != nil else { return }
        noteHeldBack(until: context.eventLoop.now)
        heldSince = nil
        parse(context)
        // Where reading stopped, there was no end of the read at which to flush.
        channelReadComplete(context: context)
        guard heldSince == nil, isReadHeldBack, !isDeaf else { return }
        isReadHeldBack = false
        context.read()
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
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let text = Self.unwrapOutboundIn(data)
        guard rules?.isOpen == true else { return refuse(promise, .closed) }
        guard text.readableBytes <= MessageCodec.maximumLength else { return refuse(promise, .messageTooLong) }
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
        let code: UInt16
        switch event as? WebSocketCommand {
        case .close(let asked): code = asked
        case .hold:
            if heldSince == nil { heldSince = context.eventLoop.now }
            return promise?.succeed() ?? ()
        case .resume:
            resume(context)
            return promise?.succeed() ?? ()
        case nil: return context.triggerUserOutboundEvent(event, promise: promise)
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
        deafen()
    }

    private func timerFired() {
        timer = nil
        guard let context else { return }
        noteHeldBack(until: context.eventLoop.now)
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
        case .nothing, .unreadable: break
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
