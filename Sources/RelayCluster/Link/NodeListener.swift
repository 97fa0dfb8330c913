// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
package import Logging
package import NIOCore
import NIOPosix
package import RelayNode
package import ServerSystem
import TLSTransport
package import TransferBroker

/// Accepts the connections of other nodes: mutual TLS, and one request each, for a link or for a stream.
package struct NodeListener: Sendable {
    private let channel: any Channel

    /// The address that is really bound, port included.
    package var address: SocketAddress? { channel.localAddress }

    /// Binds `address`. Throws what the system says when it cannot be bound.
    ///
    /// - Parameters:
    ///   - inquiries: answers what operators ask of this node at other nodes.
    ///   - admission: counts each connection.
    ///   - limit: connections that have not been authenticated yet; more are closed.
    package static func bind(
        _ address: SocketAddress, identity: NodeIdentity, group: any EventLoopGroup, links: NodeLinks,
        streams: any NodeStreamAcceptor, inquiries: @escaping InquiryAnswerer, admission: Admission,
        unauthenticated limit: Int = Defaults.Link.unauthenticated, logger: Logger,
        accepts: AcceptWatch
    ) async throws -> NodeListener {
        let unauthenticated = PreAuthConnectionLimit(limit: limit)
        let bootstrap = ServerBootstrap(group: group).watched(by: accepts)
            .serverChannelOption(.backlog, value: Defaults.Connection.listenBacklog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .acceptedOptions()
            .childChannelInitializer { channel in
                CloseOnExec.mark(channel)
                admission.count(channel)
                return channel.eventLoop.makeCompletedFuture {
                    guard let lease = unauthenticated.admit() else { throw ChannelError.eof }
                    channel.closeFuture.whenComplete { _ in lease.identified() }
                    try channel.pipeline.syncOperations.addHandlers([
                        TLSHandler(server: identity.server, handshakeTimeout: Defaults.Connection.handshakeTimeout),
                        NodeResponder(
                            links: links, streams: streams, inquiries: inquiries, lease: lease, logger: logger
                        ).reader(),
                    ])
                }
            }
        return NodeListener(channel: try await bootstrap.bind(to: address).get())
    }

    /// Stops accepting; connections that are there stay.
    package func close() async throws { try await channel.close() }
}

/// Answers an inquiry of another node; nil when it is none that is answered.
package typealias InquiryAnswerer = @Sendable (_ inquiry: String, _ node: NodeID) async -> String?
