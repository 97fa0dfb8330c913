// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayNode
import ServerSystem
import StreamRelay
import TLSTransport
import TransferBroker
import WSProtocol
import WebSocketTransport

/// Reads the one request of a connection from another node, and makes way for the handlers of what it asks for.
final class NodeRequestHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let links: NodeLinks
    private let streams: any NodeStreamAcceptor
    private let stranger: StrangerTicket
    private let logger: Logger
    private var parser = RequestHeadParser()
    private var deadline: Scheduled<Void>?
    /// The names of the other side's certificate, known after the handshake.
    private var names: [String] = []
    private var isRead = false
    private var isReadHeldBack = false

    init(links: NodeLinks, streams: any NodeStreamAcceptor, stranger: StrangerTicket, logger: Logger) {
        self.links = links
        self.streams = streams
        self.stranger = stranger
        self.logger = logger
    }

    func handlerAdded(context: ChannelHandlerContext) {
        // One deadline covers the TLS handshake, which has its own, and the head.
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Defaults.Connection.headTimeout) {
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? TLSEvent {
        case .handshakeCompleted(let summary): names = summary.peerNames
        case .peerClosed: context.close(promise: nil)
        case .truncated, nil: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    func read(context: ChannelHandlerContext) {
        if isRead { isReadHeldBack = true } else { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isRead else { return context.fireChannelRead(data) }
        var arrived = unwrapInboundIn(data)
        switch parser.feed(&arrived) {
        case .needMore: return
        case .refused(let refusal): refuse(refusal, nil, context)
        case .head(let head):
            isRead = true
            route(head, arrived, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError, error.isAboutTrust {
            links.refusedCertificate(of: nil, at: remoteAddress(context), "\(error)")
        }
        context.close(promise: nil)
    }

    private func route(_ head: RequestHead, _ leftover: ByteBuffer, _ context: ChannelHandlerContext) {
        do {
            // The certificate has been checked; a name that is no node's makes it one of something else.
            guard let node = names.lazy.compactMap({ NodeID(rawValue: $0) }).first else {
                throw HTTPRefusal(status: .forbidden, code: "not_a_node", message: "the certificate names no node")
            }
            switch try LinkRoute(head) {
            case .link(let handshake):
                guard leftover.readableBytes == 0 else { throw HTTPRefusal.malformed("bytes follow the upgrade") }
                try upgrade(handshake, context)
            case .stream:
                try streams.accept(head, leftover: leftover, from: node, on: context.channel)
            }
            stranger.identified()
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
            if isReadHeldBack { context.channel.read() }
        } catch let refusal as HTTPRefusal {
            refuse(refusal, RequestBodyReader(head.framing), context, leftover)
        } catch {
            logger.error("cannot set up a connection of another node", metadata: [LogKeys.error: "\(error)"])
            context.close(promise: nil)
        }
    }

    private func upgrade(_ handshake: WebSocketHandshake, _ context: ChannelHandlerContext) throws {
        var answer = ByteBuffer()
        handshake.writeAnswer(into: &answer)
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        let pipeline = context.pipeline.syncOperations
        let limits = WebSocketLimits(controlFrames: Defaults.Link.controlFrames)
        try WebSocketPipeline.install(on: pipeline, role: .server, limits: limits, heartbeat: links.heartbeat)
        try pipeline.addHandler(InboundLinkHandler(links: links, names: names, connection: links.nextInbound()))
    }

    private func refuse(
        _ refusal: HTTPRefusal, _ body: RequestBodyReader?, _ context: ChannelHandlerContext,
        _ leftover: ByteBuffer = ByteBuffer()
    ) {
        isRead = true
        var (body, leftover) = (body, leftover)
        while case .content? = body?.next(&leftover) {}
        let pipeline = context.pipeline.syncOperations
        let linger = LingerHandler(ResponseHead.refusal(refusal), after: body)
        guard (try? pipeline.addHandler(linger, position: .after(self))) != nil else {
            return context.close(promise: nil)
        }
        pipeline.removeHandler(self, promise: nil)
        if isReadHeldBack { context.channel.read() }
    }

    private func remoteAddress(_ context: ChannelHandlerContext) -> String {
        context.channel.remoteAddress?.ipAddress ?? "unknown"
    }
}

@available(*, unavailable)
extension NodeRequestHandler: Sendable {}
