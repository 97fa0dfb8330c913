// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// From the other handlers to the network.
extension TLSHandler {
    /// Encrypts at once; the ciphertext leaves at the next flush.
    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch machine.plaintextWritten() {
        case .hold: hold(Self.unwrapOutboundIn(data), promise)
        case .encrypt: encrypt(context, Self.unwrapOutboundIn(data), promise)
        case .refuse: promise?.fail(TLSError(.closed))
        }
    }

    /// Sends everything written so far.
    package func flush(context: ChannelHandlerContext) {
        switch machine.state {
        case .idle, .handshaking:
            earlyFlush = true
        case .open, .inputEnded, .outputEnded, .bothEnded, .closing, .closed, .handedOver:
            writeGathered(context)
            context.flush()
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
            stopTimer()
            context.close(mode: .all, promise: promise)
            failWrites(TLSError(.closed))
        case nil:
            context.triggerUserOutboundEvent(event, promise: promise)
        }
    }

    private func hold(_ bytes: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        guard earlyBytes + bytes.readableBytes <= TLSDefaults.earlyWriteLimit else {
            promise?.fail(TLSError(.earlyWriteLimit))
            return
        }
        earlyBytes += bytes.readableBytes
        earlyWrites.append((bytes, promise))
    }

    /// Encrypts what was held back during the handshake.
    func writeEarly(_ context: ChannelHandlerContext) {
        let held = earlyWrites
        earlyWrites = []
        earlyBytes = 0
        for (bytes, promise) in held {
            // A failure half way closes the session.
            guard machine.plaintextWritten() == .encrypt else {
                promise?.fail(TLSError(.closed))
                continue
            }
            encrypt(context, bytes, promise)
        }
        guard earlyFlush else { return }
        earlyFlush = false
        writeGathered(context)
        context.flush()
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
    func writeGathered(_ context: ChannelHandlerContext) {
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

    private func closeAll(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        switch machine.closeRequested() {
        case .closeChannel:
            stopTimer()
            context.close(mode: .all, promise: promise)
            failWrites(TLSError(.closed))
        case .closeAfterFlush(let sendingCloseNotify):
            addClosePromise(promise)
            if sendingCloseNotify { connection?.sendCloseNotify() }
            closeAfterFlush(context)
        case .wait:
            addClosePromise(promise)
        }
    }

    private func addClosePromise(_ promise: EventLoopPromise<Void>?) {
        guard let promise else { return }
        if let closePromise {
            closePromise.futureResult.cascade(to: promise)
        } else {
            closePromise = promise
        }
    }

    private func closeAfterFlush(_ context: ChannelHandlerContext) {
        let flushed = context.eventLoop.makePromise(of: Void.self)
        gather(flushed)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: TLSDefaults.closeTimeout) { self.finishClose() }
        flushed.futureResult.assumeIsolated().whenComplete { _ in self.finishClose() }
        writeGathered(context)
        context.flush()
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
            writeGathered(context)
            context.flush()
        }
    }

    /// Fails everything that has not been given to the channel.
    func failWrites(_ error: TLSError) {
        let held = earlyWrites
        earlyWrites = []
        earlyBytes = 0
        let gathered = gatheredPromise.take()
        for (_, promise) in held { promise?.fail(error) }
        gathered?.fail(error)
    }
}
