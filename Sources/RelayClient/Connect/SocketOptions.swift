// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix

/// The options of every TCP socket of the client.
enum SocketOptions {
    /// `bootstrap` with TCP_NODELAY and TCP_USER_TIMEOUT.
    static func apply(to bootstrap: ClientBootstrap, userTimeout: TimeAmount) -> ClientBootstrap {
        let bootstrap = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
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
