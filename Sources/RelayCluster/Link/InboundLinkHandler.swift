// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport
import TransferBroker
import WSProtocol
import WebSocketTransport

/// The answering end of a link behind its WebSocket: takes the caller's id, checks that its certificate has the same,
/// and passes the caller's messages to the links' event loop.
final class InboundLinkHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let links: NodeLinks
    /// The names of the caller's certificate.
    private let names: [String]
    private let connection: LinkConnection
    /// The caller, once it has said hello.
    private var node: NodeID?
    /// Messages that were passed on and not acknowledged yet. The caller keeps each until it is, so there is a limit to
    /// them; one that goes past it does not keep to the rules.
    private var unanswered = 0
    private var deadline: Scheduled<Void>?
    private var silence = TimeAmount.zero

    init(links: NodeLinks, names: [String], connection: LinkConnection) {
        self.links = links
        self.names = names
        self.connection = connection
    }

    func handlerAdded(context: ChannelHandlerContext) {
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Defaults.Link.greeting) {
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let frame = try? LinkCodec.decode(Self.unwrapInboundIn(data)) else { return violation(context) }
        switch (frame, node) {
        case (.hello(let hello), nil):
            guard names.contains(hello.node.rawValue) else {
                links.refusedCertificate(
                    of: hello.node, at: context.channel.remoteAddress?.ipAddress ?? "unknown",
                    "its certificate is for another node")
                return context.close(promise: nil)
            }
            deadline?.cancel()
            node = hello.node
            links.called(hello, connection, on: context.channel)
        case (.message(let seq, let message), let node?):
            unanswered += 1
            guard unanswered <= Defaults.Link.unackedMessages else { return violation(context) }
            links.received(message, seq: seq, from: node, on: connection)
        case (.hello, .some), (.message, nil), (.welcome, _), (.ack, _):
            violation(context)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        // A welcome or an acknowledgement.
        unanswered = max(0, unanswered - 1)
        context.write(data, promise: promise)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? WebSocketEvent {
            if case .closed(_, .violation(.unansweredPing)) = event { silence = links.heartbeat.answerWithin }
            context.close(promise: nil)
        }
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        if let node { links.disconnected(node, connection, silence: silence) }
        context.fireChannelInactive()
    }

    private func violation(_ context: ChannelHandlerContext) {
        links.violated(by: node)
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension InboundLinkHandler: Sendable {}
