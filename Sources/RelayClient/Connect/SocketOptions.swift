// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import NIOCore
import NIOPosix

/// The options of every TCP socket of the client.
enum SocketOptions {
    /// `bootstrap` with TCP_NODELAY, TCP_USER_TIMEOUT and FD_CLOEXEC. It has no other initializer afterwards.
    static func apply(to bootstrap: ClientBootstrap, userTimeout: TimeAmount) -> ClientBootstrap {
        let bootstrap = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                CloseOnExec.mark(channel)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
        #if os(Linux)
        let milliseconds = SocketOptionValue(userTimeout.nanoseconds / 1_000_000)
        return bootstrap.channelOption(.tcpOption(NIOBSDSocket.Option(rawValue: linuxUserTimeout)), value: milliseconds)
        #else
        return bootstrap
        #endif
    }

    /// TCP_USER_TIMEOUT of `linux/tcp.h`, which the C library's module does not always have.
    private static let linuxUserTimeout: CInt = 18
}
