// SPDX-License-Identifier: Apache-2.0

internal import NIOCore
internal import TLSTransport

/// The end of a connection's pipeline: whatever error comes this far has been told to whom it concerns, and ends the
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
