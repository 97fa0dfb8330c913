// SPDX-License-Identifier: Apache-2.0

internal import NIOCore
internal import TLSTransport

/// Ends a connection to Redis from this side.
enum ConnectionEnd {
    /// Closes it at once: TLS would wait until what was written has left, and a frozen peer takes nothing.
    static func cut(_ context: ChannelHandlerContext) {
        context.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
        context.close(promise: nil)
    }

    /// Closes `channel` at once, from outside its pipeline.
    static func cut(_ channel: any Channel) {
        channel.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
        channel.close(promise: nil)
    }
}

/// The last handler of a connection's pipeline: an error that arrives here was handled by the others, and ends the
/// connection.
final class LastHandler: ChannelInboundHandler {
    typealias InboundIn = Never

    /// What ended the connection, if an error did.
    private(set) var error: (any Error)?

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? TLSEvent {
        // Redis has said all it will say, or was cut: half a connection is of no use.
        case .peerClosed?, .truncated?: ConnectionEnd.cut(context)
        case .handshakeCompleted?, nil: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.error = self.error ?? error
        ConnectionEnd.cut(context)
    }
}

@available(*, unavailable)
extension LastHandler: Sendable {}
