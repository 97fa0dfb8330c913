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
    /// Listens at `endpoint`, to serve TLS there: each connection with the certificate of its moment. Throws what the
    /// system says when the address cannot be bound.
    package static func bind(
        _ endpoint: ListeningSocket.Endpoint, tls: Replaceable<TLSContext>, loops: ListenerLoops,
        services: ConnectionServices
    ) async throws -> ListeningSocket {
        let bootstrap = bootstrap(loops: loops, services: services) { channel, connection in
            try ClientPipeline.installTLS(on: channel, connection, tls: tls.current, services: services)
        }
        return try await ListeningSocket.bind(bootstrap, at: endpoint)
    }

    /// Listens at `endpoint`, to serve plain HTTP there: redirections to `https` at `names`, `/healthz`, and nothing
    /// else.
    package static func bindRedirect(
        _ endpoint: ListeningSocket.Endpoint, to names: RedirectNames, loops: ListenerLoops,
        services: ConnectionServices
    ) async throws -> ListeningSocket {
        let bootstrap = bootstrap(loops: loops, services: services) { channel, connection in
            try ClientPipeline.installRedirect(on: channel, connection, to: names, services: services)
        }
        return try await ListeningSocket.bind(bootstrap, at: endpoint)
    }

    /// Accepts connections on `loops.accepting`, and lets `pipeline` add the handlers of each that is let in.
    static func bootstrap(
        loops: ListenerLoops, services: ConnectionServices,
        pipeline: @escaping @Sendable (any Channel, AcceptedConnection) throws -> Void
    ) -> ServerBootstrap {
        let admitted = AdmittedConnections()
        // Those that NIO does not accept, with the options of those that it does.
        let adopt: AdmissionHandler.Adoption = { descriptor, connection in
            ClientBootstrap(group: loops.connections).acceptedOptions()
                .channelInitializer { channel in
                    CloseOnExec.mark(channel)
                    return channel.eventLoop.makeCompletedFuture { try pipeline(channel, connection) }
                }
                .withConnectedSocket(descriptor)
        }
        return ServerBootstrap(group: loops.accepting, childGroup: loops.connections)
            .watched(by: services.accepts) {
                AdmissionHandler(services: services, admitted: admitted, adopt: adopt)
            }
            .serverChannelOption(.backlog, value: Defaults.Connection.listenBacklog)
            .serverChannelOption(.maxMessagesPerRead, value: Defaults.Connection.acceptedAtOnce)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .acceptedOptions()
            .childChannelInitializer { channel in
                CloseOnExec.mark(channel)
                return channel.eventLoop.makeCompletedFuture {
                    guard let connection = admitted.take(channel) else { throw ChannelError.eof }
                    try pipeline(channel, connection)
                }
            }
    }
}

/// Where a listener's work is done.
package struct ListenerLoops: Sendable {
    /// Connections are accepted here, and those that there is no room for are closed.
    package let accepting: any EventLoopGroup
    /// The loops of those that are let in.
    package let connections: any EventLoopGroup

    package init(accepting: any EventLoopGroup, connections: any EventLoopGroup) {
        self.accepting = accepting
        self.connections = connections
    }

    /// The loops of both groups.
    package var all: [any EventLoop] { Array(connections.makeIterator()) + Array(accepting.makeIterator()) }
}
