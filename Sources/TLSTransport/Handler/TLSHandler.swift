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
    var machine: TLSStateMachine
    /// The session; nil at a server until the client says something, when it could not be made, after it was handed over, and
    /// after the handler was removed.
    var connection: TLSConnection?
    /// Makes the server's session: some 70 KiB, most of it for the handshake, which a client that says nothing must not cost.
    private var makeConnection: (() throws(TLSError) -> TLSConnection)?
    /// Why there is no session, if there was none from the beginning.
    private var setupError: TLSError?
    private let handshakeTimeout: TimeAmount

    /// Set while the handler is in a pipeline.
    var context: ChannelHandlerContext?
    /// The plaintext of one read. Kept for the next, which uses its memory again if no other handler has kept it.
    var plaintext = ByteBuffer()
    /// Whether a later handler asked for data and has not got any since.
    var readRequested = false
    /// Whether the session may hold data that no new ciphertext is needed for.
    var mayHavePending: Bool
    /// Answers of TLS's own that went out while the peer was not reading.
    var unreadAnswers = 0

    /// What was written before the handshake was complete.
    var earlyWrites: [(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)] = []
    /// The bytes in `earlyWrites`.
    var earlyBytes = 0
    /// Whether `flush` was called before the handshake was complete.
    var earlyFlush = false
    /// Succeeds when the ciphertext that is gathered has left.
    var gatheredPromise: EventLoopPromise<Void>?
    /// Completes for all callers that wait for the channel to be closed.
    var closePromise: EventLoopPromise<Void>?
    /// The end of the handshake's time, and then that of closing's.
    var timer: Scheduled<Void>?
    /// Told when the peer sent more messages of TLS's own than may be.
    package var limitMet: (@Sendable () -> Void)?
    /// Where the session has gone.
    var handover: TLSHandover?

    /// The server's end of a connection.
    package convenience init(server context: TLSContext, handshakeTimeout: TimeAmount = TLSDefaults.handshakeTimeout) {
        self.init(handshakeTimeout: handshakeTimeout)
        makeConnection = { () throws(TLSError) in try TLSConnection(server: context) }
    }

    /// The client's end of a connection.
    ///
    /// - Parameters:
    ///   - serverName: the name the server's certificate must be for.
    ///   - port: the server's port, to tell servers on one host apart when a session is resumed.
    package convenience init(
        client context: TLSContext, serverName: TLSServerName, port: Int? = nil,
        handshakeTimeout: TimeAmount = TLSDefaults.handshakeTimeout
    ) {
        self.init(handshakeTimeout: handshakeTimeout)
        connect { () throws(TLSError) in try TLSConnection(client: context, serverName: serverName, port: port) }
    }

    /// Goes on with a session that another handler has given up. If the session holds data already, it is delivered at
    /// the first `read`, or soon after the handler is added to an active channel that reads by itself.
    package init(adopting handover: TLSHandover) {
        let connection = handover.take()
        self.connection = connection
        self.setupError = connection == nil ? TLSError(.closed, detail: "it was taken over before") : nil
        self.machine = TLSStateMachine(connection == nil ? .idle : handover.state)
        self.handshakeTimeout = TLSDefaults.handshakeTimeout
        self.mayHavePending = true
        self.limitMet = handover.limitMet
    }

    private init(handshakeTimeout: TimeAmount) {
        self.machine = TLSStateMachine()
        self.handshakeTimeout = handshakeTimeout
        self.mayHavePending = false
    }

    /// Gives back memory whenever the connection is idle. For connections that mostly are: it costs time on others.
    package func releaseBuffersWhenIdle() {
        connection?.releaseBuffersWhenIdle()
        plaintext = ByteBuffer()
    }

    /// Uses large buffers in turn with other connections of this event loop, and gives back its own. For connections that
    /// move a lot, one after the other.
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
        writeGathered(context)
        context.flush()
        self.connection = nil
        connection.store.share(nil)
        let handover = TLSHandover(connection, state: state, limitMet: limitMet)
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
        makeConnection = nil
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
        if let setupError { return fail(context, setupError) }
        if mayHavePending { deliverSoon(context) }
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

    private func connect(_ make: () throws(TLSError) -> TLSConnection) {
        do throws(TLSError) {
            connection = try make()
        } catch {
            setupError = error
        }
    }

    /// The first ciphertext of a client has come: makes the server's session. Returns false when that has failed.
    func connectIfNeeded(_ context: ChannelHandlerContext) -> Bool {
        if let make = makeConnection.take() { connect(make) }
        guard let setupError else { return true }
        fail(context, setupError)
        return false
    }

    /// Takes the handshake as far as it goes.
    func continueHandshake(_ context: ChannelHandlerContext) {
        guard let connection else { return }
        let result = connection.handshake()
        writeGathered(context)
        context.flush()
        switch result {
        case .incomplete: break
        case .failed(let error): fail(context, error)
        case .complete:
            guard machine.handshakeCompleted() == .announce else { return }
            stopTimer()
            mayHavePending = true
            writeEarly(context)
            context.fireUserInboundEventTriggered(TLSEvent.handshakeCompleted(connection.summary))
            if readRequested || readsByItself(context) { deliverPending(context) }
        }
    }

    /// Whether the channel reads without being asked.
    private func readsByItself(_ context: ChannelHandlerContext) -> Bool {
        (try? context.channel.syncOptions?.getOption(.autoRead)) ?? true
    }

    /// Ends the session because of `error`, unless it has ended already.
    func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        guard machine.failed() == .reportAndClose else { return }
        if error.code == .messageLimit { limitMet?() }
        report(context, error)
    }

    /// Sends the alert OpenSSL may have written, tells the other handlers, and closes.
    private func report(_ context: ChannelHandlerContext, _ error: TLSError) {
        stopTimer()
        writeGathered(context)
        context.flush()
        failWrites(error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    /// No timer runs afterwards.
    func stopTimer() {
        timer?.cancel()
        timer = nil
    }
}

@available(*, unavailable)
extension TLSHandler: Sendable {}
