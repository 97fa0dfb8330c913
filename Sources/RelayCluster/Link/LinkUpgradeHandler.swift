// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport
import TransferBroker
import WSProtocol
import WebSocketTransport

/// The caller's half of the upgrade to a link: asks for it, and installs the link when the answer is right.
final class LinkUpgradeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let host: String
    private let key = WebSocketKey()
    private let heartbeat: WebSocketHeartbeat
    private let report: (OutboundLinkHandler.Event) -> Void
    private let done: (Result<any Channel, NodeDialError>) -> Void
    private var answer: UpgradeAnswer
    private var deadline: Scheduled<Void>?
    private var isDone = false

    /// - Parameters:
    ///   - done: called once, with the channel when it is a link.
    ///   - report: what the link reports afterwards.
    init(
        to node: NodeID, heartbeat: WebSocketHeartbeat,
        done: @escaping (Result<any Channel, NodeDialError>) -> Void,
        report: @escaping (OutboundLinkHandler.Event) -> Void
    ) {
        host = node.rawValue
        answer = UpgradeAnswer(to: key, subprotocol: LinkRoute.subprotocol)
        self.heartbeat = heartbeat
        self.done = done
        self.report = report
    }

    func handlerAdded(context: ChannelHandlerContext) {
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Defaults.Link.greeting) {
            self.fail(context, .unreachable("it did not answer the upgrade in time"))
        }
        var lines = [
            "GET \(LinkRoute.linkPath) HTTP/1.1", "Host: \(host)", "Upgrade: websocket", "Connection: Upgrade",
        ]
        lines += key.requestFields(subprotocol: LinkRoute.subprotocol).map { field in "\(field.name): \(field.value)" }
        lines += ["", ""]
        context.writeAndFlush(
            Self.wrapOutboundOut(ByteBuffer(string: lines.joined(separator: "\r\n"))), promise: nil)
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return }
        var arrived = Self.unwrapInboundIn(data)
        switch answer.feed(&arrived) {
        case .needMore: break
        case .refused(let reason): fail(context, .unreachable(reason))
        case .upgraded: upgrade(context, arrived)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let isAboutTrust = (error as? TLSError)?.isAboutTrust ?? false
        fail(context, isAboutTrust ? .untrusted("\(error)") : .unreachable("\(error)"))
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(context, .unreachable("the other side closed the connection"))
        context.fireChannelInactive()
    }

    private func upgrade(_ context: ChannelHandlerContext, _ leftover: ByteBuffer) {
        let pipeline = context.pipeline.syncOperations
        do {
            let limits = WebSocketLimits(
                pendingBytes: Defaults.Link.pendingBytes, controlFrames: Defaults.Link.controlFrames
            )
            try WebSocketPipeline.install(on: pipeline, role: .client, limits: limits, heartbeat: heartbeat)
            try pipeline.addHandler(OutboundLinkHandler(heartbeat: heartbeat, report: report))
        } catch {
            return fail(context, .unreachable("\(error)"))
        }
        isDone = true
        deadline?.cancel()
        done(.success(context.channel))
        if leftover.readableBytes > 0 { context.fireChannelRead(NIOAny(leftover)) }
        pipeline.removeHandler(self, promise: nil)
    }

    private func fail(_ context: ChannelHandlerContext, _ error: NodeDialError) {
        guard !isDone else { return }
        isDone = true
        deadline?.cancel()
        done(.failure(error))
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension LinkUpgradeHandler: Sendable {}
