// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport
import WSProtocol
import WebSocketTransport

/// The caller's end of a link behind its WebSocket: reports what the other side says. It lives on the links' event
/// loop.
final class OutboundLinkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// What is reported. `ended` comes exactly once, last; `silence` says for how long nothing had come.
    enum Event {
        case frame(LinkFrame)
        /// Something came that is no frame.
        case malformed
        case ended(silence: TimeAmount)
    }

    private let heartbeat: WebSocketHeartbeat
    private let report: (Event) -> Void
    private var silence = TimeAmount.zero

    init(heartbeat: WebSocketHeartbeat, report: @escaping (Event) -> Void) {
        self.heartbeat = heartbeat
        self.report = report
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let frame = try? LinkCodec.decode(Self.unwrapInboundIn(data)) else { return report(.malformed) }
        report(.frame(frame))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? WebSocketEvent {
            if case .closed(_, .violation(.unansweredPing)) = event { silence = heartbeat.answerWithin }
            context.close(promise: nil)
        }
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) { report(.ended(silence: silence)) }
}

@available(*, unavailable)
extension OutboundLinkHandler: Sendable {}
