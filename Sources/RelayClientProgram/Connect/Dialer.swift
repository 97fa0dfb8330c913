// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import NIOCore
import NIOExtras
import NIOHTTP1
import NIOPosix
import TLSTransport
import TransferClient

/// Opens TLS connections to the relay, through the proxy where there is one.
struct Dialer: Sendable {
    let proxies: ProxySettings
    let tls: TLSContext
    var group: any EventLoopGroup
    /// Told about each step that was passed, with a word or two about it.
    var observer: @Sendable (ConnectionStep, String) -> Void = { _, _ in }
    var timing = Timing()

    /// How long each step may take; other times than these are for tests only.
    struct Timing: Sendable {
        var connect = Defaults.connectTimeout
        var handshake = TLSDefaults.handshakeTimeout
        var login = Defaults.loginTimeout
    }

    /// Connects, shakes hands and installs the handlers behind TLS.
    ///
    /// - Parameters:
    ///   - userTimeout: TCP_USER_TIMEOUT of this connection.
    ///   - install: adds the handlers that come behind TLS; called on the channel's event loop.
    /// - Returns: the channel, its certificate checked.
    func connect(
        to endpoint: Endpoint, userTimeout: TimeAmount,
        install: @escaping @Sendable (any Channel) throws -> Void
    ) async throws(ConnectionError) -> any Channel {
        let proxy = try proxy(for: endpoint)
        let channel = try await open(proxy?.endpoint ?? endpoint, proxy: proxy, userTimeout: userTimeout)
        do {
            if let proxy { try await tunnel(through: proxy, to: endpoint, on: channel) }
            try await shakeHands(with: endpoint, on: channel, install: install)
            return channel
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }

    /// This dialer with all its connections on one event loop.
    func on(_ loop: any EventLoop) -> Dialer {
        var dialer = self
        dialer.group = loop
        return dialer
    }

    /// The proxy on the way to `endpoint`, if there is one.
    func proxy(for endpoint: Endpoint) throws(ConnectionError) -> Proxy? {
        do {
            return try proxies.proxy(for: endpoint)
        } catch {
            throw ConnectionError(proxy: error)
        }
    }

    private func open(
        _ endpoint: Endpoint, proxy: Proxy?, userTimeout: TimeAmount
    ) async throws(ConnectionError) -> any Channel {
        let bootstrap = SocketOptions.apply(to: ClientBootstrap(group: group), userTimeout: userTimeout)
            .connectTimeout(timing.connect)
        do {
            // An address needs no resolver, which would ask the system on a thread of its own each time.
            let literal = try? SocketAddress(ipAddress: endpoint.host, port: endpoint.port)
            let channel = try await
                (literal.map(bootstrap.connect(to:)) ?? bootstrap.connect(host: endpoint.host, port: endpoint.port))
                .get()
            let address = channel.remoteAddress?.ipAddress ?? endpoint.host
            observer(.dns, proxy == nil ? address : "\(address) is the proxy")
            observer(.tcp, "port \(endpoint.port)")
            return channel
        } catch {
            throw ConnectionError(connecting: error, to: endpoint, isProxy: proxy != nil)
        }
    }

    private func tunnel(
        through proxy: Proxy, to endpoint: Endpoint, on channel: any Channel
    ) async throws(ConnectionError) {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        do {
            try await channel.eventLoop.submit {
                let pipeline = channel.pipeline.syncOperations
                let encoder = HTTPRequestEncoder()
                let decoder = HTTPCoding.decoder()
                let answer = ProxyAnswerHandler(promise: promise)
                // The host as it stands in an authority: an IPv6 address in its brackets.
                let host = String(endpoint.description.dropLast(":\(endpoint.port)".utf8.count))
                var headers: HTTPHeaders = ["Host": endpoint.description, "User-Agent": ClientAgent.text]
                if let authorization = proxy.authorization {
                    headers.add(name: "Proxy-Authorization", value: authorization)
                }
                let connect = NIOHTTP1ProxyConnectHandler(
                    targetHost: host, targetPort: endpoint.port, headers: headers,
                    deadline: .now() + timing.connect, promise: promise
                )
                promise.futureResult.assumeIsolated().whenSuccess {
                    pipeline.removeHandler(answer, promise: nil)
                    pipeline.removeHandler(decoder, promise: nil)
                    pipeline.removeHandler(encoder, promise: nil)
                }
                try pipeline.addHandlers([encoder, decoder, answer, connect])
            }.get()
        } catch {
            promise.fail(error)
        }
        do {
            let deadline = NIODeadline.now() + timing.connect + Defaults.deadlineMargin
            let overdue = ChannelError.connectTimeout(timing.connect)
            try await promise.futureResult.bounded(by: deadline, or: overdue).get()
            observer(.proxy, "\(proxy.endpoint)")
        } catch {
            throw ConnectionError(tunnelling: error, through: proxy, to: endpoint)
        }
    }

    private func shakeHands(
        with endpoint: Endpoint, on channel: any Channel, install: @escaping @Sendable (any Channel) throws -> Void
    ) async throws(ConnectionError) {
        let promise = channel.eventLoop.makePromise(of: TLSHandshakeSummary.self)
        let (tls, timeout) = (tls, timing.handshake)
        do {
            try await channel.eventLoop.submit {
                let pipeline = channel.pipeline.syncOperations
                let name = TLSServerName(host: endpoint.host)
                try pipeline.addHandler(TLSHandler(client: tls, serverName: name, handshakeTimeout: timeout))
                try pipeline.addHandler(PeerEndHandler())
                try pipeline.addHandler(HandshakeHandler(promise: promise))
                try install(channel)
            }.get()
        } catch {
            promise.fail(error)
        }
        do {
            let deadline = NIODeadline.now() + timing.handshake + Defaults.deadlineMargin
            let handshake = try await promise.futureResult.bounded(by: deadline, or: TLSError(.handshakeTimeout)).get()
            observer(.tls, "\(handshake.version), \(handshake.cipher)")
            observer(.certificate, "valid for \(endpoint.host)")
        } catch {
            throw ConnectionError(handshaking: error, with: endpoint)
        }
    }
}

/// Waits behind TLS for the end of the handshake, tells a promise, and leaves. TLS itself has the deadline.
final class HandshakeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    private let promise: EventLoopPromise<TLSHandshakeSummary>

    init(promise: EventLoopPromise<TLSHandshakeSummary>) {
        self.promise = promise
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        promise.fail(ChannelError.eof)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
        guard case .handshakeCompleted(let summary)? = event as? TLSEvent else { return }
        promise.succeed(summary)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(ChannelError.eof)
        context.fireChannelInactive()
    }
}

@available(*, unavailable)
extension HandshakeHandler: Sendable {}

/// Stands behind TLS as long as the connection lasts, and closes it at the relay's close_notify: nothing comes after
/// that, and a handler that waits, or is added only later, need not ask TLS about it.
final class PeerEndHandler: ChannelInboundHandler {
    typealias InboundIn = NIOAny

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
    }
}

@available(*, unavailable)
extension PeerEndHandler: Sendable {}

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

    /// Lets the kernel take in `bytes` of what comes before it is read, and no more; on the channel's event loop.
    static func fixWindow(of channel: any Channel, to bytes: Int) {
        #if os(Linux)
        guard let options = channel.syncOptions else { return }
        // SO_RCVBUF would not go beyond `rmem_max`; asking for so many bytes at once makes room for them, for good.
        let least = ChannelOptions.Types.SocketOption.socketOption(NIOBSDSocket.Option(rawValue: linuxReceiveLeast))
        try? options.setOption(least, value: SocketOptionValue(bytes))
        try? options.setOption(least, value: 1)
        // Before Linux 5.15 the kernel goes on by itself.
        let lock = ChannelOptions.Types.SocketOption.socketOption(NIOBSDSocket.Option(rawValue: linuxBufferLock))
        try? options.setOption(lock, value: linuxReceiveBufferLock)
        #endif
    }

    /// SO_RCVLOWAT and SO_BUF_LOCK of `asm-generic/socket.h`, and SOCK_RCVBUF_LOCK of `linux/socket.h`.
    private static let linuxReceiveLeast: CInt = 18
    private static let linuxBufferLock: CInt = 72
    private static let linuxReceiveBufferLock: SocketOptionValue = 2
    /// TCP_USER_TIMEOUT of `linux/tcp.h`, which the C library's module does not always have.
    private static let linuxUserTimeout: CInt = 18
}

extension EventLoopFuture where Value: Sendable {
    /// The value of this future, or `error` at `deadline` if nothing has come by then. That needs neither the other
    /// side nor a handler of the channel, which may be gone already.
    func bounded(by deadline: NIODeadline, or error: any Error) -> EventLoopFuture<Value> {
        let promise = eventLoop.makePromise(of: Value.self)
        let overdue = eventLoop.scheduleTask(deadline: deadline) { promise.fail(error) }
        whenComplete { result in
            overdue.cancel()
            promise.completeWith(result)
        }
        return promise.futureResult
    }
}
