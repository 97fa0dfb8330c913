// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore
package import NIOPosix

/// The socket options of every connection (tcp(7), socket(7)).
package enum SocketSettings {
    private static func tcp(_ name: Int32) -> ChannelOptions.Types.SocketOption {
        ChannelOptions.Types.SocketOption(level: .tcp, name: NIOBSDSocket.Option(rawValue: name))
    }

    private static func socket(_ name: Int32) -> ChannelOptions.Types.SocketOption {
        ChannelOptions.Types.SocketOption(level: .socket, name: NIOBSDSocket.Option(rawValue: name))
    }

    /// What every accepted connection gets: no delay, probes on silence, and the kernel's word when a peer is gone.
    fileprivate static let accepted: [(ChannelOptions.Types.SocketOption, SocketOptionValue)] = [
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

    /// SO_BUF_LOCK and its SOCK_RCVBUF_LOCK (asm-generic/socket.h, linux/socket.h), which glibc does not name.
    private static let bufferLock = socket(72)
    private static let receiveBufferLock = 2

    /// Lets the kernel take in `window` bytes from a sender and no more, in its own counting up to twice that; when it
    /// is called again, more, and never less.
    ///
    /// By itself the kernel would open the window by what one round trip brought, up to 32 MiB, and further than a
    /// sender's kernel can fill at once: a receiver that is slow would have all of that held for it. On a fast network
    /// one burst, before the receiver's side is full, is worth several times as much as all other buffers of the
    /// stream.
    package static func fixReceiveBuffer(_ channel: any Channel, window: Int) {
        guard let options = channel.syncOptions else { return }
        // What is fixed stays as it is.
        try? options.setOption(bufferLock, value: 0)
        widen(options, to: window)
        // Linux has it from 5.15 on; with an older one the kernel goes on by itself.
        try? options.setOption(bufferLock, value: SocketOptionValue(receiveBufferLock))
    }

    /// Lets the kernel's window be `bytes` at least. SO_RCVBUF would fix it for ever, and not go beyond `rmem_max`;
    /// asking for so many bytes at once makes room for them, for good (tcp(7), socket(7)).
    private static func widen(_ options: any NIOSynchronousChannelOptions, to bytes: Int) {
        try? options.setOption(socket(SO_RCVLOWAT), value: SocketOptionValue(bytes))
        try? options.setOption(socket(SO_RCVLOWAT), value: 1)
    }

    /// How sockets are read: buffers that grow with what arrives, up to a size that still fits the processor's cache.
    fileprivate static let receiveAllocator = AdaptiveRecvByteBufferAllocator(
        minimum: 1024, initial: 4096, maximum: SystemDefaults.receiveBytes
    )
}

extension ServerBootstrap {
    /// What every accepted connection gets, and how it is read.
    package func acceptedOptions() -> ServerBootstrap {
        let read = childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: SocketSettings.receiveAllocator)
        return SocketSettings.accepted.reduce(read) { $0.childChannelOption($1.0, value: $1.1) }
    }
}

extension ClientBootstrap {
    /// What a connection gets that is accepted without NIO, or dialled, and how it is read.
    package func acceptedOptions() -> ClientBootstrap {
        SocketSettings.accepted.reduce(readAsAccepted()) { $0.channelOption($1.0, value: $1.1) }
    }

    /// How every accepted connection is read.
    package func readAsAccepted() -> ClientBootstrap {
        channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.recvAllocator, value: SocketSettings.receiveAllocator)
    }
}
