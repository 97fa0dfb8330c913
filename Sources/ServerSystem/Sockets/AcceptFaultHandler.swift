// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import Glibc
package import NIOCore
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
    /// from programs that are started. What was accepted goes through the handler that `admission` makes, if there is
    /// one.
    package func watched(
        by watch: AcceptWatch, admission: (@Sendable () -> any ChannelInboundHandler)? = nil
    ) -> ServerBootstrap {
        serverChannelInitializer { channel in
            CloseOnExec.mark(channel)
            return channel.eventLoop.makeCompletedFuture {
                let pipeline = channel.pipeline.syncOperations
                try pipeline.addHandler(AcceptFaultHandler(watch))
                if let admission { try pipeline.addHandler(admission()) }
            }
        }
    }
}

/// Why a connection that waits cannot be accepted, although the listener is well (accept(2)).
package enum AcceptFault: String, CaseIterable, Hashable, Sendable {
    /// The process has as many descriptors as it may have.
    case descriptors
    /// The whole machine has.
    case machineDescriptors = "machine_descriptors"
    /// The kernel has no memory for another one.
    case memory
    /// The client has left meanwhile.
    case aborted

    /// Nil for what no pause and no other connection's end can mend: the listener is gone.
    package init?(errno code: CInt) {
        switch code {
        case EMFILE: self = .descriptors
        case ENFILE: self = .machineDescriptors
        case ENOBUFS, ENOMEM: self = .memory
        case ECONNABORTED: self = .aborted
        default: return nil
        }
    }

    /// What is done about it.
    enum Remedy: Hashable, Sendable {
        /// Accept by means of the spare descriptor and close at once, so that no client waits for an answer that cannot
        /// come.
        case turnAway
        /// Leave the clients in the kernel's queue for a moment.
        case pause
        /// The next one may be well.
        case goOn
    }

    /// What is done first.
    var remedy: Remedy {
        switch self {
        case .descriptors, .machineDescriptors: .turnAway
        case .memory: .pause
        case .aborted: .goOn
        }
    }
}
