// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport

/// Stands behind TLS as long as the connection lasts, and closes it at the relay's close_notify: nothing comes after that,
/// and whoever waits, or is only added later, need not ask TLS about it.
final class PeerEndHandler: ChannelInboundHandler {
    typealias InboundIn = NIOAny

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
    }
}

@available(*, unavailable)
extension PeerEndHandler: Sendable {}
