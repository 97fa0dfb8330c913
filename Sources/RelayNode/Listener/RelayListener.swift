// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
package import NIOCore
package import NIOPosix
import ServerSystem
package import TLSTransport
import TransferBroker

/// Accepts connections on one address and gives each a pipeline.
package struct RelayListener: Sendable {
    private let channel: any Channel

    /// The address that is really bound, port included.
    package var address: SocketAddress? { channel.localAddress }

    /// Binds `address` and serves TLS there. Throws what the system says when the address cannot be bound.
    package static func bind(
        _ address: SocketAddress, tls: TLSContext, group: any EventLoopGroup, services: ConnectionServices
    ) async throws -> RelayListener {
        let channel = try await bootstrap(group: group, services: services) { channel, ticket, isRefused in
            let operations = channel.pipeline.syncOperations
            let handler = TLSHandler(server: tls, handshakeTimeout: Defaults.Connection.handshakeTimeout)
            handler.limitMet = {
                services.reports?.met(Limit(.tlsMessages, of: .connection), address: ticket.address.share)
            }
            try operations.addHandler(handler)
            try operations.addHandler(
                RelayResponder(services: services, ticket: ticket, isRefused: isRefused, purpose: .relay).reader()
            )
        }.bind(to: address).get()
        return RelayListener(channel: channel)
    }

    /// Binds `address` and serves plain HTTP there: redirections to `https` at `names`, `/healthz`, and nothing else.
    package static func bindRedirect(
        _ address: SocketAddress, to names: RedirectNames, group: any EventLoopGroup, services: ConnectionServices
    ) async throws -> RelayListener {
        let channel = try await bootstrap(group: group, services: services) { channel, ticket, isRefused in
            try channel.pipeline.syncOperations.addHandler(
                RelayResponder(services: services, ticket: ticket, isRefused: isRefused, purpose: .redirect(names))
                    .reader()
            )
        }.bind(to: address).get()
        return RelayListener(channel: channel)
    }

    /// Stops accepting; connections that are there stay.
    package func close() async throws {
        try await channel.close()
    }

    /// Accepts connections and lets `pipeline` add the handlers of each.
    package static func bootstrap(
        group: any EventLoopGroup, services: ConnectionServices,
        pipeline: @escaping @Sendable (any Channel, ConnectionLease, _ isRefused: Bool) throws -> Void
    ) -> ServerBootstrap {
        var bootstrap = ServerBootstrap(group: group).watched(by: services.accepts)
            .serverChannelOption(.backlog, value: Defaults.Connection.listenBacklog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: SocketSettings.receiveAllocator)
            .childChannelInitializer { channel in
                CloseOnExec.mark(channel)
                // A balancer is never a stranger; whom it connects for is counted as soon as it has said so.
                let origin = services.peers.origin(for: channel.remoteAddress)
                let address = origin == .connection ? channel.remoteAddress : nil
                let (verdict, ticket) = services.admission.connectionOpened(from: address)
                channel.closeFuture.whenComplete { _ in ticket.drop() }
                if verdict != .admitted, services.admission.isShortOfDescriptors { services.accepts.ranShort() }
                return channel.eventLoop.makeCompletedFuture {
                    guard verdict != .closed else { throw ChannelError.eof }
                    if origin == .header {
                        try channel.pipeline.syncOperations.addHandler(
                            ProxyHeaderHandler(ticket: ticket, peers: services.peers, logger: services.logger)
                        )
                    }
                    try pipeline(channel, ticket, verdict == .refused)
                }
            }
        for (option, value) in SocketSettings.accepted {
            bootstrap = bootstrap.childChannelOption(option, value: value)
        }
        return bootstrap
    }
}
