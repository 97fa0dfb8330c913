// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore

/// The socket options of every connection (tcp(7), socket(7)).
package enum SocketSettings {
    private static func tcp(_ name: Int32) -> ChannelOptions.Types.SocketOption {
        ChannelOptions.Types.SocketOption(level: .tcp, name: NIOBSDSocket.Option(rawValue: name))
    }

    private static func socket(_ name: Int32) -> ChannelOptions.Types.SocketOption {
        ChannelOptions.Types.SocketOption(level: .socket, name: NIOBSDSocket.Option(rawValue: name))
    }

    /// What every accepted connection gets: no delay, probes on silence, and the kernel's word when a peer is gone.
    package static let accepted: [(ChannelOptions.Types.SocketOption, SocketOptionValue)] = [
        (tcp(TCP_NODELAY), 1),
        (socket(SO_KEEPALIVE), 1),
        (tcp(TCP_KEEPIDLE), SystemDefaults.keepaliveIdle),
        (tcp(TCP_KEEPINTVL), SystemDefaults.keepaliveInterval),
        (tcp(TCP_KEEPCNT), SystemDefaults.keepaliveProbes),
        (tcp(TCP_USER_TIMEOUT), Int(SystemDefaults.tcpUserTimeout.nanoseconds / 1_000_000)),
    ]

    /// Prepares a connection for a stream to a receiver, who may pause for longer without being gone: the kernel's own
    /// time-out goes, and what it may hold unsent is bounded, so that a sender is held back early.
    package static func prepareForStreaming(_ channel: any Channel) {
        guard let options = channel.syncOptions else { return }
        // Not every channel is a TCP socket; one that is not has neither.
        try? options.setOption(tcp(TCP_USER_TIMEOUT), value: 0)
        try? options.setOption(tcp(TCP_NOTSENT_LOWAT), value: SocketOptionValue(SystemDefaults.unsentBytes))
    }

    /// How sockets are read: buffers that grow with what arrives, up to a size that still fits the processor's cache.
    package static let receiveAllocator = AdaptiveRecvByteBufferAllocator(
        minimum: 1024, initial: 4096, maximum: SystemDefaults.receiveBytes
    )
}
