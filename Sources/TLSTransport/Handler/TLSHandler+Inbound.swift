// SPDX-License-Identifier: Apache-2.0

package import NIOCore

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
        case .open, .outputEnded: if readRequested && !mayHavePending { context.read() }
        case .idle, .inputEnded, .bothEnded, .closing, .closed, .handedOver: break
        }
        context.fireChannelReadComplete()
    }

    /// Delivers what is there without new ciphertext, and passes the wish on.
    package func read(context: ChannelHandlerContext) {
        readRequested = true
        if mayHavePending, machine.state != .handshaking { deliverPending(context) }
        context.read()
    }

    /// Passes the end of the peer's direction on, and says first whether it was a clean one.
    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { endInput(context) }
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
        if mayHavePending { deliverPending(context) }
        switch machine.inputEnded() {
        case .failHandshake: fail(context, endDuringHandshake)
        case .announceTruncation: context.fireUserInboundEventTriggered(TLSEvent.truncated)
        case .ignore: break
        }
    }

    /// A peer that said something else than TLS and left was not waiting for a handshake.
    private var endDuringHandshake: TLSError {
        TLSError(connection?.looksLikeTLS == false ? .notTLS : .closedDuringHandshake)
    }

    /// As `deliver`, for data that came without a read of the socket: the channel does not say that this was all for
    /// now.
    func deliverPending(_ context: ChannelHandlerContext) {
        guard mayHavePending, machine.ciphertextReceived() == .decrypt else { return }
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
        mayHavePending = false
        var hasData = false
        while let connection {
            let answered = connection.store.outbound.readableBytes
            let (bytes, result) = decrypt(connection)
            if connection.store.outbound.readableBytes > answered { sendAnswer(context) }
            if bytes.readableBytes > 0 {
                hasData = true
                readRequested = false
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
        let bytes = plaintext
        if connection.releasesBuffers { plaintext = ByteBuffer() }
        return (bytes, result)
    }

    /// Sends what TLS itself has to say to what was read. A peer that provokes answers and never reads them is cut off,
    /// as they would pile up here.
    private func sendAnswer(_ context: ChannelHandlerContext) {
        unreadAnswers = context.channel.isWritable ? 0 : unreadAnswers + 1
        writeGathered(context)
        context.flush()
        guard unreadAnswers > TLSDefaults.unreadAnswerLimit else { return }
        fail(context, TLSError(.protocolViolation, detail: "it does not read the answers it asks for"))
    }
}
