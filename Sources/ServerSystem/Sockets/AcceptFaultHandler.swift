// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import NIOCore
package import NIOPosix

/// Stands in a listener's own pipeline. NIO goes on trying to accept when it cannot, as fast as it can: here that ends.
final class AcceptFaultHandler: ChannelInboundHandler {
    /// The accepted channel, passed on as it comes.
    typealias InboundIn = any Channel

    private let watch: AcceptWatch
    private var isResting = false

    init(_ watch: AcceptWatch) { self.watch = watch }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        watch.accepted()
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let failure = error as? IOError, let fault = AcceptFault(errno: failure.errnoCode) else {
            watch.listenerLost(error)
            return context.fireErrorCaught(error)
        }
        let pipeline = context.pipeline.syncOperations
        let listener = try? pipeline.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
        if watch.failed(fault, at: (listener ?? nil) ?? -1) { rest(context.channel) }
    }

    private func rest(_ channel: any Channel) {
        guard !isResting, let options = channel.syncOptions else { return }
        isResting = true
        try? options.setOption(.autoRead, value: false)
        channel.eventLoop.assumeIsolated().scheduleTask(in: SystemDefaults.acceptPause) {
            self.isResting = false
            // A listener that was closed meanwhile has no options.
            try? channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }
}

@available(*, unavailable)
extension AcceptFaultHandler: Sendable {}

extension ServerBootstrap {
    /// Tells `watch` what comes to the listener, does not spin when nothing can be accepted, and keeps the listener
    /// from programs that are started.
    package func watched(by watch: AcceptWatch) -> ServerBootstrap {
        serverChannelInitializer { channel in
            CloseOnExec.mark(channel)
            return channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(AcceptFaultHandler(watch))
            }
        }
    }
}
