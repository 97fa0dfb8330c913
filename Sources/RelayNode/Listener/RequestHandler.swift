// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
import StreamRelay
import TLSTransport
import TransferBroker
import WSProtocol

/// Reads the one request of a connection, finds out what it wants, and makes way for the handler that gives it.
final class RequestHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let services: ConnectionServices
    private let ticket: ConnectionTicket
    private let isRefused: Bool
    private let purpose: ListenerPurpose
    private var parser = RequestHeadParser()
    private var deadline: Scheduled<Void>?
    /// Set once the request's fate is being decided: nothing more is read until it is.
    private var isDeciding = false
    private var isReadHeldBack = false
    /// What arrived behind the head.
    private var pending = ByteBuffer()

    init(services: ConnectionServices, ticket: ConnectionTicket, isRefused: Bool, purpose: ListenerPurpose) {
        self.services = services
        self.ticket = ticket
        self.isRefused = isRefused
        self.purpose = purpose
    }

    func handlerAdded(context: ChannelHandlerContext) {
        // One deadline covers the TLS handshake, which has its own, and the head.
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: Defaults.Connection.headTimeout) {
            let (handler, context) = bound.value
            handler.headTimedOut(context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    /// A peer that ends TLS waits for nothing more.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    func read(context: ChannelHandlerContext) {
        if isDeciding { isReadHeldBack = true } else { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var arrived = unwrapInboundIn(data)
        guard !isDeciding else {
            // A read may already be on its way when reading stops; more than one or two is a fault below.
            pending.writeBuffer(&arrived)
            if pending.readableBytes > 4 * SystemDefaults.receiveBytes { context.close(promise: nil) }
            return
        }
        switch parser.feed(&arrived) {
        case .needMore: return
        case .refused(let refusal): end(with: refusal, body: nil, context)
        case .head(let head):
            deadline?.cancel()
            isDeciding = true
            pending = arrived
            route(head, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        services.logger.debug("connection failed", metadata: [LogKeys.error: "\(error)"])
        context.close(promise: nil)
    }

    private func headTimedOut(_ context: ChannelHandlerContext) {
        // Somebody who has said nothing at all gets no answer either.
        guard !parser.isEmpty else { return context.close(promise: nil) }
        let refusal = HTTPRefusal(
            status: .requestTimeout, code: "request_timeout", message: "the request's head took longer than 10 s"
        )
        end(with: refusal, body: nil, context)
    }

    private func route(_ head: RequestHead, _ context: ChannelHandlerContext) {
        let body = RequestBodyReader(head.framing)
        do throws(HTTPRefusal) {
            if let redirection = purpose.redirection(for: head) { throw redirection }
            let route = try Route(head)
            if route != .health, isRefused { throw .full }
            if services.peers.origin(for: context.channel.remoteAddress) == .field {
                let client = TrustedPeers.client(of: head) ?? context.channel.remoteAddress
                guard ticket.belongs(to: client) else { throw .full }
            }
            switch route {
            case .health:
                let answer = ResponseHead.complete(
                    .ok, type: "text/plain", body: "ok\n", withBody: head.method != "HEAD"
                )
                replace(with: LingerHandler(answer, after: body), context)
            case .control(let handshake):
                guard !services.admission.isDraining else { throw .draining }
                guard pending.readableBytes == 0 else { throw .malformed("bytes follow the upgrade request") }
                upgrade(handshake, context)
            case .download(let token):
                claim(token, as: .download, body: body, context) { handler, claim, context in
                    handler.replace(with: DownloadHandler(claim.stream, services: handler.services.stream), context)
                }
            case .upload(let token):
                claim(token, as: .upload, body: body, context) { handler, claim, context in
                    handler.join(head, by: claim, context)
                }
            }
        } catch {
            // A HEAD's answer has no body (RFC 9110, section 9.3.2).
            end(with: error, body: body, context, withBody: head.method != "HEAD")
        }
    }

    private func upgrade(_ handshake: WebSocketHandshake, _ context: ChannelHandlerContext) {
        // Control connections are idle nearly always, and there are many of them. A channel without TLS has no handler.
        (try? context.pipeline.syncOperations.handler(type: TLSHandler.self))?.releaseBuffersWhenIdle()
        var answer = ByteBuffer()
        handshake.writeAnswer(into: &answer)
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        do {
            try services.control.install(
                on: context.channel, audience: handshake.audience, client: ticket.address,
                loggedIn: { [ticket] in ticket.identified() }
            )
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        } catch {
            services.logger.error("cannot set up a control connection", metadata: [LogKeys.error: "\(error)"])
            context.close(promise: nil)
        }
    }

    private func claim(
        _ token: Token, as role: TransferRole, body: RequestBodyReader, _ context: ChannelHandlerContext,
        then proceed: @escaping (RequestHandler, StreamClaim, ChannelHandlerContext) -> Void
    ) {
        let bound = NIOLoopBound((self, context, proceed), eventLoop: context.eventLoop)
        services.transfers.claim(token, as: role, on: context.eventLoop).whenComplete { result in
            let (handler, context, proceed) = bound.value
            guard context.channel.isActive else {
                if case .success(let claim?) = result { handler.abandon(claim.stream, role) }
                return
            }
            switch result {
            case .success(let claim?):
                handler.ticket.identified()
                proceed(handler, claim, context)
            case .success(nil): handler.end(with: TokenField.refused, body: body, context)
            case .failure(let error):
                let code = (error as? ClusterUnavailable)?.code ?? .unavailable
                handler.end(with: .stream(code), body: body, context)
            }
        }
    }

    /// The client left while its token was being claimed.
    private func abandon(_ stream: StreamKey, _ role: TransferRole) {
        let code: FailureCode = role == .download ? .receiverGone : .senderGone
        services.streams.end(stream, .failed(code))
        services.transfers.streamChanged(stream, .cut(code, bytes: 0))
    }

    private func join(_ head: RequestHead, by claim: StreamClaim, _ context: ChannelHandlerContext) {
        let request = UploadRequest(head, leftover: pending)
        guard claim.download == services.node else { return hop(head, by: claim, context) }
        guard let place = services.streams.place(of: claim.stream) else {
            let code = services.missingStream
            services.transfers.streamChanged(claim.stream, .cut(code, bytes: 0))
            return end(with: .stream(code), body: request.body, context)
        }
        if place.loop.inEventLoop {
            replace(with: UploadHandler(request, into: place.stream()), context)
        } else if !ConnectionMove.move(context.channel, request: request, to: place, ticket: ticket) {
            // It needs a second descriptor for a moment.
            if services.admission.isShortOfDescriptors { services.accepts.ranShort() }
            services.streams.end(claim.stream, .failed(.internalError))
            end(with: .stream(.internalError), body: request.body, context)
        }
    }

    /// The receiver's half is on another node: the stream goes on to it.
    private func hop(_ head: RequestHead, by claim: StreamClaim, _ context: ChannelHandlerContext) {
        let stream = claim.stream
        guard let connector = services.connector else { return refuseHop(.clusterUnavailable, stream, head, context) }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        NodeUplinkHandler.open(
            stream, on: claim.download, length: UploadRequest(head, leftover: ByteBuffer()).length,
            loop: context.eventLoop, connector: connector
        ).whenComplete { result in
            let (handler, context) = bound.value
            switch result {
            case .success(let uplink):
                guard context.channel.isActive else {
                    uplink.value.cut(.senderGone)
                    return handler.abandon(stream, .upload)
                }
                let pipe = Pipe(
                    stream, to: uplink.value, isHop: true, loop: context.eventLoop, services: handler.services.stream
                )
                pipe.park()
                uplink.value.attach(pipe)
                let request = UploadRequest(head, leftover: handler.pending)
                handler.replace(with: UploadHandler(request, into: pipe), context)
            case .failure(let error):
                let code = (error as? StreamHopRefused)?.code ?? .clusterUnavailable
                handler.refuseHop(code, stream, head, context)
            }
        }
    }

    private func refuseHop(
        _ code: FailureCode, _ stream: StreamKey, _ head: RequestHead, _ context: ChannelHandlerContext
    ) {
        services.transfers.streamChanged(stream, .cut(code, bytes: 0))
        guard context.channel.isActive else { return }
        end(with: .stream(code), body: RequestBodyReader(head.framing), context)
    }

    /// Answers with a refusal and lets the connection end.
    private func end(
        with refusal: HTTPRefusal, body: RequestBodyReader?, _ context: ChannelHandlerContext, withBody: Bool = true
    ) {
        isDeciding = true
        services.reports?.refused(refusal.status)
        var body = body
        while case .content? = body?.next(&pending) {}
        replace(with: LingerHandler(ResponseHead.refusal(refusal, withBody: withBody), after: body), context)
    }

    private func replace(with handler: any ChannelHandler, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        let operations = context.pipeline.syncOperations
        guard (try? operations.addHandler(handler, position: .after(self))) != nil else {
            return context.close(promise: nil)
        }
        operations.removeHandler(self, promise: nil)
        if isReadHeldBack { context.channel.read() }
    }
}

@available(*, unavailable)
extension RequestHandler: Sendable {}
