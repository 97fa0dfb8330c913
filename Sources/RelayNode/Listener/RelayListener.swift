// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
package import NIOCore
import NIOPosix
package import ServerSystem
import StreamRelay
package import TLSTransport
import TransferBroker

/// Binds the listeners that clients connect to, and lets each connection in or not. ``ClientPipeline`` has the handlers
/// of those that are let in.
package enum RelayListener {
    /// Listens at `place`, to serve TLS there: each connection with the certificate of its moment. Throws what the
    /// system says when the address cannot be bound.
    package static func bind(
        _ place: ListeningSocket.Place, tls: Replaceable<TLSContext>, group: any EventLoopGroup,
        services: ConnectionServices
    ) async throws -> ListeningSocket {
        let bootstrap = bootstrap(group: group, services: services) { channel, connection in
            try ClientPipeline.installTLS(on: channel, connection, tls: tls.current, services: services)
        }
        return try await ListeningSocket.bind(bootstrap, at: place)
    }

    /// Listens at `place`, to serve plain HTTP there: redirections to `https` at `names`, `/healthz`, and nothing else.
    package static func bindRedirect(
        _ place: ListeningSocket.Place, to names: RedirectNames, group: any EventLoopGroup, services: ConnectionServices
    ) async throws -> ListeningSocket {
        let bootstrap = bootstrap(group: group, services: services) { channel, connection in
            try ClientPipeline.installRedirect(on: channel, connection, to: names, services: services)
        }
        return try await ListeningSocket.bind(bootstrap, at: place)
    }

    /// Accepts connections and lets `pipeline` add the handlers of each.
    static func bootstrap(
        group: any EventLoopGroup, services: ConnectionServices,
        pipeline: @escaping @Sendable (any Channel, AcceptedConnection) throws -> Void
    ) -> ServerBootstrap {
        var bootstrap = ServerBootstrap(group: group).watched(by: services.accepts)
            .serverChannelOption(.backlog, value: Defaults.Connection.listenBacklog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: SocketSettings.receiveAllocator)
            .childChannelInitializer { channel in
                CloseOnExec.mark(channel)
                // A client that was gone before its connection was accepted has no address any more, and so no limits.
                // A flood of such connections must not cost what handshakes cost.
                guard channel.remoteAddress != nil else {
                    return channel.eventLoop.makeFailedFuture(ChannelError.eof)
                }
                // A balancer is not counted itself, but its client is, as soon as the balancer has named it.
                let origin = services.peers.origin(for: channel.remoteAddress)
                let address = origin == .connection ? channel.remoteAddress : nil
                let (verdict, lease) = services.admission.connectionOpened(from: address)
                channel.closeFuture.whenComplete { _ in lease.drop() }
                if verdict != .admitted, services.admission.isShortOfDescriptors { services.accepts.ranShort() }
                return channel.eventLoop.makeCompletedFuture {
                    guard verdict != .closed else { throw ChannelError.eof }
                    let connection = AcceptedConnection(
                        lease: lease, sendsProxyHeader: origin == .header, isRefused: verdict == .refused
                    )
                    try pipeline(channel, connection)
                }
            }
        for (option, value) in SocketSettings.accepted {
            bootstrap = bootstrap.childChannelOption(option, value: value)
        }
        return bootstrap
    }
}

/// A connection that was let in.
struct AcceptedConnection: Sendable {
    /// Its place in the count.
    let lease: ConnectionLease
    /// Whether it is a balancer's, which begins with a PROXY header.
    let sendsProxyHeader: Bool
    /// Whether its request is only heard to be refused: the relay is full.
    let isRefused: Bool
}
