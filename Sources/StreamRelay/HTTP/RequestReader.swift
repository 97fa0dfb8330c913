// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import ServerSystem
import TLSTransport
import TransferBroker

/// What a listener does with the one request of a connection, on the connection's event loop.
package protocol RequestResponder {
    /// The head is there. Nothing more is read until one of the reader's ends is called.
    func respond(to head: RequestHead, _ reader: RequestReader)

    /// A refusal is about to be sent.
    func refused(_ refusal: HTTPError)

    /// The connection failed, and is about to be closed.
    func failed(_ error: any Error, _ reader: RequestReader)
}

/// Reads the one request of a connection, holds back what follows, and makes way for the handler that the responder
/// chooses.
package final class RequestReader: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// How long a connection may take.
    package struct Patience: Sendable {
        let time: TimeAmount
        let coversAnswer: Bool
        let late: HTTPError?

        /// - Parameters:
        ///   - coversAnswer: whether the time is for the answer too, or for the head alone.
        ///   - late: what a client hears that has sent some of its head only; nil closes the connection without a word.
        package init(_ time: TimeAmount, coversAnswer: Bool = false, late: HTTPError? = nil) {
            (self.time, self.coversAnswer, self.late) = (time, coversAnswer, late)
        }
    }

    private let responder: any RequestResponder
    private let patience: Patience
    private var parser = RequestHeadParser()
    private var deadline: Scheduled<Void>?
    private var context: ChannelHandlerContext?
    /// Set once the request's fate is being decided: nothing more is read until it is.
    private var isDeciding = false
    private var isReadHeldBack = false
    /// Set once the connection is being closed. TLS takes a moment to say so to its peer.
    private var isClosing = false
    /// What arrived behind the head.
    package private(set) var pending = ByteBuffer()
    /// The names of the other side's certificate, if it has shown one.
    package private(set) var peerNames: [String] = []

    package init(_ responder: any RequestResponder, patience: Patience) {
        self.responder = responder
        self.patience = patience
    }

    /// The channel, as long as it is open and is not being closed.
    package var channel: (any Channel)? {
        guard let channel = context?.channel, channel.isActive, !isClosing else { return nil }
        return channel
    }

    // MARK: - Ends

    /// Gives the connection to `handler`.
    package func replace(with handler: any ChannelHandler) {
        guard let context else { return }
        guard (try? context.pipeline.syncOperations.addHandler(handler, position: .after(self))) != nil else {
            return close()
        }
        leave()
    }

    /// Leaves the connection to the handlers behind this one, which have been added already.
    package func leave() {
        guard let context else { return }
        deadline?.cancel()
        let channel = context.channel
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
        if isReadHeldBack { channel.read() }
    }

    /// Sends the last answer and lets the connection end.
    ///
    /// - Parameter body: where the request's body stands; nil when it is malformed.
    package func end(with answer: ByteBuffer, after body: RequestBodyReader?) {
        isDeciding = true
        var body = body
        while case .content? = body?.next(&pending) {}
        replace(with: LingerHandler(answer, after: body))
    }

    /// Answers with a refusal and lets the connection end.
    package func end(with refusal: HTTPError, after body: RequestBodyReader?, withBody: Bool = true) {
        responder.refused(refusal)
        end(with: ResponseHead.refusal(refusal, withBody: withBody), after: body)
    }

    // MARK: - Channel

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        // One deadline covers the TLS handshake, which has its own, and the head.
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: patience.time) { self.timedOut() }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        deadline?.cancel()
        self.context = nil
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? TLSEvent {
        case .handshakeCompleted(let summary): peerNames = summary.peerNames
        // A peer that ends TLS waits for nothing more.
        case .peerClosed: close()
        case .truncated, nil: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    package func read(context: ChannelHandlerContext) {
        if isDeciding { isReadHeldBack = true } else { context.read() }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var arrived = Self.unwrapInboundIn(data)
        guard !isDeciding else {
            // A read may already be on its way when reading stops; more than one or two is a fault below.
            pending.writeBuffer(&arrived)
            if pending.readableBytes > 4 * SystemDefaults.receiveBytes { close() }
            return
        }
        switch parser.feed(&arrived) {
        case .needMore: return
        case .refused(let refusal): end(with: refusal, after: nil)
        case .head(let head):
            if !patience.coversAnswer { deadline?.cancel() }
            isDeciding = true
            pending = arrived
            responder.respond(to: head, self)
        }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        responder.failed(error, self)
        close()
    }

    private func timedOut() {
        // A client that has said nothing at all gets no answer either.
        guard let late = patience.late, !isDeciding, !parser.isEmpty else {
            return close()
        }
        end(with: late, after: nil)
    }

    private func close() {
        isClosing = true
        context?.close(promise: nil)
    }
}

@available(*, unavailable)
extension RequestReader: Sendable {}
