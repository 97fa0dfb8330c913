// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem

/// Reads the PROXY header in front of everything else, TLS included, tells the connection's lease whose it is, and
/// leaves.
///
/// It has no deadline of its own: those of the TLS handshake and of the request's head run from the first moment on, so
/// the header has to come within them.
final class ProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let lease: ConnectionLease
    private let peers: TrustedPeers
    private let logger: Logger
    private var arrived = ByteBuffer()
    private var isDecided = false

    init(lease: ConnectionLease, peers: TrustedPeers, logger: Logger) {
        self.lease = lease
        self.peers = peers
        self.logger = logger
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDecided else { return context.fireChannelRead(data) }
        var bytes = Self.unwrapInboundIn(data)
        arrived.writeBuffer(&bytes)
        switch ProxyHeader.read(arrived.readableBytesView) {
        case .incomplete: return
        case .complete(let header, let length):
            isDecided = true
            arrived.moveReaderIndex(forwardBy: length)
            accept(header, context)
        case .missing: refuse("there is none", context)
        case .malformed(let how): refuse(how, context)
        }
    }

    private func accept(_ header: ProxyHeader, _ context: ChannelHandlerContext) {
        let address: SocketAddress? =
            switch header {
            case .client(let address): address
            case .balancer: context.channel.remoteAddress
            }
        guard lease.belongs(to: address) else { return context.close(promise: nil) }
        if arrived.readableBytes > 0 { context.fireChannelRead(Self.wrapInboundOut(arrived)) }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func refuse(_ how: String, _ context: ChannelHandlerContext) {
        isDecided = true
        let metadata: Logger.Metadata = [
            LogKeys.remote: "\(context.channel.remoteAddress?.ipAddress ?? "unknown")", LogKeys.error: "\(how)",
        ]
        if peers.isFirstFault() {
            logger.warning(
                """
                closed a connection without a good PROXY header, which --proxy-protocol wants of this peer: let the \
                balancer send one (HAProxy: send-proxy-v2), or take the peer off the list; more of the same is logged at \
                level debug
                """,
                metadata: metadata
            )
        } else {
            logger.debug("closed a connection without a good PROXY header", metadata: metadata)
        }
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension ProxyHeaderHandler: Sendable {}
