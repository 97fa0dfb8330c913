// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// TLS for a channel: ciphertext towards the network, plaintext towards the other handlers, byte buffers on both sides.
///
/// It tells what happens by `TLSEvent`, is told what to do by `TLSCommand`, and reports what goes wrong as a `TLSError`
/// through `errorCaught`, after which it closes the channel. `close` sends close_notify once everything written has
/// been flushed, and then closes without waiting for the peer's. What is written before `handshakeCompleted` waits for
/// it; there is a limit to that.
///
/// One read of the socket brings its plaintext in pieces of at most 64 KiB (112 KiB where buffers are shared), and one
/// `flush` makes one write of all that was written before it.
package final class TLSHandler: ChannelDuplexHandler, RemovableChannelHandler {
    /// Ciphertext from the network.
    package typealias InboundIn = ByteBuffer
    /// Plaintext for the other handlers.
    package typealias InboundOut = ByteBuffer
    /// Plaintext of the other handlers.
    package typealias OutboundIn = ByteBuffer
    /// Ciphertext for the network.
    package typealias OutboundOut = ByteBuffer

    /// When what may be done.
    private var machine: TLSStateMachine
    /// The session; nil at a server until the client says something, when it could not be made, after it was handed
    /// over, and after the handler was removed.
    private(set) var connection: TLSConnection?
    private var origin: TLSSessionOrigin
    /// Where the session has gone.
    private var handover: TLSHandover?
    private let handshakeTimeout: TimeAmount

    /// Set while the handler is in a pipeline.
    private var context: ChannelHandlerContext?
    private var inbound: TLSInbound
    /// The plaintext of one read. Kept for the next, which uses its memory again if no other handler has kept it.
    private(set) var plaintext = ByteBuffer()
    private var early = TLSEarlyWrites()
    /// Succeeds when the ciphertext that is gathered has left.
    private var gatheredPromise: EventLoopPromise<Void>?
    /// Completes for all callers that wait for the channel to be closed.
    private var closePromise: EventLoopPromise<Void>?
    /// The end of the handshake's time, and then that of closing's.
    private var timer: Scheduled<Void>?
    private var observer: TLSObserver

    /// A handler with or without a session, for the ends of a connection and for one that is adopted.
    init(
        _ connection: TLSConnection?, _ origin: TLSSessionOrigin, state: TLSStateMachine.State = .idle,
        mayHavePending: Bool = false,
        handshakeTimeout: TimeAmount = TLSDefaults.handshakeTimeout, observer: TLSObserver = TLSObserver()
    ) {
        self.connection = connection
        self.origin = origin
        self.machine = TLSStateMachine(state)
        self.handshakeTimeout = handshakeTimeout
        self.inbound = TLSInbound(mayHavePending: mayHavePending)
        self.observer = observer
    }

    /// Gives back memory whenever the connection is idle. For connections that mostly are: it costs time on others.
    package func releaseBuffersWhenIdle() {
        connection?.releaseBuffersWhenIdle()
        plaintext = ByteBuffer()
    }

    /// Uses large buffers in turn with other connections of this event loop, and gives back its own. For connections
    /// that move a lot, one after the other.
    package func share(_ buffers: SharedBuffers) {
        connection?.store.share(buffers)
        plaintext = ByteBuffer()
    }

    /// Gives the session away, to be adopted by another handler in another channel on the same socket.
    ///
    /// What was written is flushed to this channel first: the caller lets it leave, and stops this channel's reads,
    /// before the socket changes hands. Afterwards this handler passes everything on but plaintext, which it refuses to
    /// write.
    ///
    /// - Throws: `closed` if there is no complete, live session.
    package func detach() throws(TLSError) -> TLSHandover {
        guard let context, let connection, case .give(let state) = machine.handOverRequested() else {
            throw TLSError(.closed)
        }
        context.eventLoop.assertInEventLoop()
        flushGathered(context)
        self.connection = nil
        connection.store.share(nil)
        let handover = TLSHandover(connection, state: state, observer: observer)
        self.handover = handover
        return handover
    }

    /// Begins the handshake if the channel is active already.
    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        guard context.channel.isActive else { return }
        start(context)
    }

    /// Frees the session.
    package func handlerRemoved(context: ChannelHandlerContext) {
        stopTimer()
        machine.channelBecameInactive()
        failWrites(TLSError(.closed))
        connection = nil
        origin = .made
        handover = nil
        plaintext = ByteBuffer()
        self.context = nil
    }

    /// Begins the handshake.
    package func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    private func start(_ context: ChannelHandlerContext) {
        if case .failed(let setupError) = origin { return fail(context, setupError) }
        if inbound.mayHavePending { deliverSoon(context) }
        guard machine.channelBecameActive() == .handshake else { return }
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: handshakeTimeout) {
            guard let context = self.context, self.machine.handshakeTimedOut() == .reportAndClose else { return }
            self.report(context, TLSError(.handshakeTimeout))
        }
        continueHandshake(context)
        // The handshake needs its answers also where no later handler reads yet.
        context.read()
    }

    /// Delivers what an adopted session holds, once the handlers behind this one have been added too.
    private func deliverSoon(_ context: ChannelHandlerContext) {
        context.eventLoop.assumeIsolated().execute {
            guard let context = self.context, self.readsByItself(context) else { return }
            self.deliverPending(context)
        }
    }

    /// The first ciphertext of a client has come: makes the server's session. Returns false when that has failed.
    private func connectIfNeeded(_ context: ChannelHandlerContext) -> Bool {
        guard case .later(let make) = origin else { return true }
        do throws(TLSError) {
            connection = try make()
            origin = .made
            return true
        } catch {
            origin = .failed(error)
            fail(context, error)
            return false
        }
    }

    /// Takes the handshake as far as it goes.
    private func continueHandshake(_ context: ChannelHandlerContext) {
        guard let connection else { return }
        let result = connection.handshake()
        flushGathered(context)
        switch result {
        case .incomplete: break
        case .failed(let error): fail(context, error)
        case .complete:
            guard machine.handshakeCompleted() == .announce else { return }
            stopTimer()
            inbound.opened()
            writeEarly(context)
            observer.handshakeEnded.take()?(.complete(connection.summary))
            context.fireUserInboundEventTriggered(TLSEvent.handshakeCompleted(connection.summary))
            if inbound.isRequested || readsByItself(context) { deliverPending(context) }
        }
    }

    /// Whether the channel reads without being asked.
    private func readsByItself(_ context: ChannelHandlerContext) -> Bool {
        (try? context.channel.syncOptions?.getOption(.autoRead)) ?? true
    }

    /// Ends the session because of `error`, unless it has ended already.
    private func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        guard machine.failed() == .reportAndClose else { return }
        if error.code == .messageLimit { observer.limitMet?() }
        report(context, error)
    }

    /// Sends the alert OpenSSL may have written, tells the other handlers, and closes.
    private func report(_ context: ChannelHandlerContext, _ error: TLSError) {
        stopTimer()
        if connection != nil { observer.handshakeEnded.take()?(.failed) }
        flushGathered(context)
        failWrites(error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    /// No timer runs afterwards.
    private func stopTimer() {
        timer?.cancel()
        timer = nil
    }
}

/// From the network to the other handlers.
extension TLSHandler {
    /// Decrypts.
    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch machine.ciphertextReceived() {
        case .handshake:
            guard connectIfNeeded(context) else { return }
            connection?.store.append(Self.unwrapInboundIn(data))
            continueHandshake(context)
        case .decrypt:
            connection?.store.append(Self.unwrapInboundIn(data))
            deliver(context)
        case .discard:
            break
        case .passOn:
            handover?.append(Self.unwrapInboundIn(data))
        }
    }

    /// Asks for more where what came was not enough to pass anything on.
    package func channelReadComplete(context: ChannelHandlerContext) {
        switch machine.state {
        case .handshaking: context.read()
        case .open, .outputEnded: if inbound.isRequested && !inbound.mayHavePending { context.read() }
        case .idle, .inputEnded, .bothEnded, .closing, .closed, .handedOver: break
        }
        context.fireChannelReadComplete()
    }

    /// Delivers what is there without new ciphertext, and passes the wish on.
    package func read(context: ChannelHandlerContext) {
        inbound.requested()
        if inbound.mayHavePending, machine.state != .handshaking { deliverPending(context) }
        context.read()
    }

    /// Passes the end of the peer's direction on, and says first whether it was a clean one.
    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { endInput(context) }
        context.fireUserInboundEventTriggered(event)
    }

    /// Says whether the end was a clean one, and passes it on.
    package func channelInactive(context: ChannelHandlerContext) {
        endInput(context)
        machine.channelBecameInactive()
        stopTimer()
        failWrites(TLSError(.closed))
        closePromise.take()?.succeed()
        context.fireChannelInactive()
    }

    private func endInput(_ context: ChannelHandlerContext) {
        // Data, or close_notify, may still be inside a session that was adopted.
        if inbound.mayHavePending { deliverPending(context) }
        switch machine.inputEnded() {
        case .failHandshake:
            // A peer that said something else than TLS and left was not waiting for a handshake.
            fail(context, TLSError(connection?.looksLikeTLS == false ? .notTLS : .closedDuringHandshake))
        case .announceTruncation: context.fireUserInboundEventTriggered(TLSEvent.truncated)
        case .ignore: break
        }
    }

    /// As `deliver`, for data that came without a read of the socket: the channel does not say that this was all for
    /// now.
    private func deliverPending(_ context: ChannelHandlerContext) {
        guard inbound.mayHavePending, machine.ciphertextReceived() == .decrypt else { return }
        if deliver(context) { context.fireChannelReadComplete() }
    }

    /// Decrypts all there is and passes it on, a bounded piece at a time.
    ///
    /// A later handler may close the channel, take the session away or remove this handler before `fireChannelRead`
    /// comes back: the session is asked for again after that, and the machine whether it may still be read.
    ///
    /// - Returns: whether there was any plaintext.
    @discardableResult
    private func deliver(_ context: ChannelHandlerContext) -> Bool {
        inbound.beganDecrypting()
        var hasData = false
        while let connection {
            let answered = connection.store.outbound.readableBytes
            let (bytes, result) = decrypt(connection)
            if connection.store.outbound.readableBytes > answered { sendAnswer(context) }
            if bytes.readableBytes > 0 {
                hasData = true
                inbound.delivered()
                context.fireChannelRead(Self.wrapInboundOut(bytes))
            }
            switch result {
            case .full: if machine.ciphertextReceived() == .decrypt { continue }
            case .drained: break
            case .closed:
                if machine.closeNotifyReceived() == .announce {
                    context.fireUserInboundEventTriggered(TLSEvent.peerClosed)
                }
            case .failed(let error): fail(context, error)
            }
            break
        }
        return hasData
    }

    /// Decrypts one piece.
    private func decrypt(_ connection: TLSConnection) -> (ByteBuffer, TLSConnection.ReadResult) {
        if let shared = connection.store.shared {
            let result = connection.read(into: &shared.plaintext, limit: TLSDefaults.sharedPieceLength)
            return (shared.plaintext, result)
        }
        let result = connection.read(into: &plaintext, limit: TLSDefaults.pieceLength)
        let piece = plaintext
        if connection.releasesBuffers { plaintext = ByteBuffer() }
        return (piece, result)
    }

    /// Sends what TLS itself has to say to what was read. A peer that never reads it is cut off.
    private func sendAnswer(_ context: ChannelHandlerContext) {
        let mayGoOn = inbound.mayAnswer(peerReads: context.channel.isWritable)
        flushGathered(context)
        if mayGoOn { return }
        fail(context, TLSError(.protocolViolation, detail: "it does not read the answers it asks for"))
    }
}

/// From the other handlers to the network.
extension TLSHandler {
    /// Encrypts at once; the ciphertext leaves at the next flush.
    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch machine.plaintextWritten() {
        case .hold:
            guard !early.hold((Self.unwrapOutboundIn(data), promise)) else { return }
            promise?.fail(TLSError(.earlyWriteLimit))
        case .encrypt: encrypt(context, Self.unwrapOutboundIn(data), promise)
        case .refuse: promise?.fail(TLSError(.closed))
        }
    }

    /// Sends everything written so far.
    package func flush(context: ChannelHandlerContext) {
        switch machine.state {
        case .idle, .handshaking:
            early.flush()
        case .open, .inputEnded, .outputEnded, .bothEnded, .closing, .closed, .handedOver:
            flushGathered(context)
        }
    }

    /// Closes as TLS wants it: close_notify after the last byte, and the channel after that.
    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch mode {
        case .all: closeAll(context, promise)
        case .output: closeOutput(context, promise)
        case .input: context.close(mode: .input, promise: promise)
        }
    }

    /// Obeys `TLSCommand`, passes on everything else.
    package func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        switch event as? TLSCommand {
        case .abort:
            machine.abortRequested()
            closeNow(context, promise)
        case nil:
            context.triggerUserOutboundEvent(event, promise: promise)
        }
    }

    /// Encrypts what was held back during the handshake.
    private func writeEarly(_ context: ChannelHandlerContext) {
        let early = self.early
        self.early = TLSEarlyWrites()
        for (bytes, promise) in early.writes {
            // A failure half way closes the session.
            guard machine.plaintextWritten() == .encrypt else {
                promise?.fail(TLSError(.closed))
                continue
            }
            encrypt(context, bytes, promise)
        }
        guard early.isFlushed else { return }
        flushGathered(context)
    }

    private func encrypt(_ context: ChannelHandlerContext, _ bytes: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        guard let connection else {
            promise?.fail(TLSError(.closed))
            return
        }
        if let error = connection.write(bytes) {
            promise?.fail(error)
            return fail(context, error)
        }
        gather(promise)
        // The channel counts only what it has: it could not say that it is full if too much stayed here.
        let limit = connection.store.shared == nil ? TLSDefaults.gatherLimit : TLSDefaults.sharedPieceLength
        if connection.store.outbound.readableBytes >= limit { writeGathered(context) }
    }

    /// Adds a promise for the ciphertext that is gathered.
    private func gather(_ promise: EventLoopPromise<Void>?) {
        guard let promise else { return }
        if let gatheredPromise {
            gatheredPromise.futureResult.cascade(to: promise)
        } else {
            gatheredPromise = promise
        }
    }

    /// Gives the ciphertext that is gathered to the channel, in one write.
    private func writeGathered(_ context: ChannelHandlerContext) {
        let promise = gatheredPromise.take()
        if let connection,
            let ciphertext = connection.store.takeOutbound(keepingMemory: !connection.releasesBuffers)
        {
            context.write(Self.wrapOutboundOut(ciphertext), promise: promise)
        } else if let promise {
            // Nothing but empty writes: they are done when everything before them is.
            context.write(Self.wrapOutboundOut(ByteBuffer()), promise: promise)
        }
    }

    private func flushGathered(_ context: ChannelHandlerContext) {
        writeGathered(context)
        context.flush()
    }

    private func closeAll(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        switch machine.closeRequested() {
        case .closeChannel:
            closeNow(context, promise)
        case .closeAfterFlush(let sendingCloseNotify):
            closePromise.setOrCascade(to: promise)
            if sendingCloseNotify { connection?.sendCloseNotify() }
            closeAfterFlush(context)
        case .wait:
            closePromise.setOrCascade(to: promise)
        }
    }

    private func closeNow(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        stopTimer()
        context.close(mode: .all, promise: promise)
        failWrites(TLSError(.closed))
    }

    private func closeAfterFlush(_ context: ChannelHandlerContext) {
        let flushed = context.eventLoop.makePromise(of: Void.self)
        gather(flushed)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: TLSDefaults.closeTimeout) { self.finishClose() }
        flushed.futureResult.assumeIsolated().whenComplete { _ in self.finishClose() }
        flushGathered(context)
    }

    private func finishClose() {
        guard let context, machine.flushFinished() == .closeChannel else { return }
        stopTimer()
        context.close(mode: .all, promise: closePromise.take())
    }

    private func closeOutput(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        switch machine.closeOutputRequested() {
        case .refuse:
            promise?.fail(TLSError(.closed))
        case .passOn:
            context.close(mode: .output, promise: promise)
        case .sendCloseNotify:
            connection?.sendCloseNotify()
            let flushed = context.eventLoop.makePromise(of: Void.self)
            gather(flushed)
            flushed.futureResult.assumeIsolated().whenComplete { _ in
                guard let context = self.context else {
                    promise?.fail(TLSError(.closed))
                    return
                }
                context.close(mode: .output, promise: promise)
            }
            flushGathered(context)
        }
    }

    /// Fails everything that has not been given to the channel.
    private func failWrites(_ error: TLSError) {
        let (held, gathered) = (early.writes, gatheredPromise.take())
        early = TLSEarlyWrites()
        for (_, promise) in held { promise?.fail(error) }
        gathered?.fail(error)
    }
}

@available(*, unavailable)
extension TLSHandler: Sendable {}
