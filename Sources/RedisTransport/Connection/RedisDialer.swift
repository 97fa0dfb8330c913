// SPDX-License-Identifier: Apache-2.0

internal import CloseOnExec
internal import NIOCore
internal import NIOPosix
internal import TLSTransport

/// Makes connections to Redis: TCP, TLS where the URL says so, and the login.
struct RedisDialer {
    let settings: RedisSettings
    let eventLoop: any EventLoop
    /// Finds the addresses of the host; one resolver for all attempts to reach it.
    let names: NameResolver
    /// Whether there are others to try: then none is waited for as long.
    var isOneOfMany = false

    /// What came of an attempt.
    struct Connection: Sendable {
        let channel: any Channel
        let server: RedisEndpoint
        let version: RedisVersion
        /// The servers of its cluster; none where it is in none.
        let nodes: [RedisEndpoint]
    }

    /// Connects to a server and logs in.
    ///
    /// - Parameters:
    ///   - server: one that the settings' URL, a Sentinel or another server names.
    ///   - handlers: come behind the login, and are told `RedisEvent.ready`.
    ///   - last: comes behind them, and keeps what ended the connection.
    /// - Returns: the connection; or fails with a `RedisRefusal`, a `RedisRedirect` or a `RedisError`. On the
    ///   event loop.
    func connect(
        to server: RedisEndpoint, _ handlers: [any ChannelHandler], last: LastHandler
    ) -> EventLoopFuture<Connection>.Isolated {
        let promise = eventLoop.makePromise(of: HandshakeResult.self)
        // Not in the channel's initializer: a name with several addresses makes several channels.
        return bootstrap.connect(host: server.host, port: server.port).assumeIsolated()
            .flatMapThrowing { channel in
                do {
                    let login = HandshakeHandler(settings: self.settings, server: server, promise: promise)
                    try self.install([login] + handlers + [last], server, on: channel)
                } catch {
                    promise.fail(error)
                    ConnectionEnd.cut(channel)
                }
                return channel
            }
            .flatMapError { error in
                promise.fail(error)
                return self.eventLoop.makeFailedFuture(error)
            }
            .flatMap { channel in
                promise.futureResult.map { result in
                    Connection(channel: channel, server: server, version: result.version, nodes: result.nodes)
                }
            }
            .flatMapErrorThrowing { throw Self.redisError(for: $0) }
    }

    /// Connects to a Sentinel.
    ///
    /// - Returns: once `handler` has the connection; or fails with a `RedisError`.
    func ask(_ sentinel: RedisEndpoint, _ handler: SentinelHandler) -> EventLoopFuture<Void>.Isolated {
        bootstrap.connect(host: sentinel.host, port: sentinel.port).assumeIsolated()
            .flatMapThrowing { channel in
                do {
                    try self.install([handler], sentinel, on: channel)
                } catch {
                    ConnectionEnd.cut(channel)
                    throw error
                }
            }
            .flatMapErrorThrowing { throw Self.redisError(for: $0) }
    }

    private func install(
        _ handlers: [any ChannelHandler], _ server: RedisEndpoint, on channel: any Channel
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        if let tls = settings.tls {
            let name = TLSServerName(host: server.host)
            try pipeline.addHandler(
                TLSHandler(client: tls, serverName: name, handshakeTimeout: settings.handshakeTimeout))
        }
        try pipeline.addHandler(ReplyHandler())
        try pipeline.addHandlers(handlers)
        try channel.syncOptions?.setOption(.autoRead, value: true)
    }

    private var bootstrap: ClientBootstrap {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .resolver(names)
            .connectTimeout(
                isOneOfMany ? min(settings.connectTimeout, RedisDefaults.choiceTimeout) : settings.connectTimeout
            )
            .channelInitializer { channel in
                CloseOnExec.mark(channel)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            // Nothing is read before the handlers that read it are in place.
            .channelOption(.autoRead, value: false)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
        #if os(Linux)
        // The numbers of `linux/tcp.h`, which the C library's module does not always have.
        let (keepAliveIdle, keepAliveInterval, keepAliveCount, userTimeout) = (4, 5, 6, 18) as (CInt, CInt, CInt, CInt)
        let values = [
            (keepAliveIdle, RedisDefaults.keepAliveInterval), (keepAliveInterval, RedisDefaults.keepAliveInterval),
            (keepAliveCount, RedisDefaults.keepAliveProbes),
            (userTimeout, Int(RedisDefaults.userTimeout.nanoseconds / 1_000_000)),
        ]
        return values.reduce(bootstrap) { bootstrap, option in
            let name = NIOBSDSocket.Option(rawValue: option.0)
            return bootstrap.channelOption(.tcpOption(name), value: SocketOptionValue(option.1))
        }
        #else
        return bootstrap
        #endif
    }

    /// The error of this module for `error`.
    private static func redisError(for error: any Error) -> any Error {
        switch error {
        case let error as RedisError: return error
        case let refusal as RedisRefusal: return refusal
        case let redirect as RedisRedirect: return redirect
        case let error as TLSError: return RedisError(.unreachable, error.description)
        case let error as NIOConnectionError:
            let first = error.connectionErrors.first.map { "\($0.error)" } ?? error.dnsAError.map { "\($0)" }
            return RedisError(
                .unreachable, first ?? error.dnsAAAAError.map { "\($0)" } ?? "no address of \(error.host) answers")
        case ChannelError.connectTimeout: return RedisError(.unreachable, "nothing answers there")
        case let error: return RedisError(.unreachable, "\(error)")
        }
    }
}
