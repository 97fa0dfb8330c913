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
    ///   - accepted: told of each connection, on its event loop.
    package static func bind(
        _ address: SocketAddress, identity: NodeIdentity, group: any EventLoopGroup, links: NodeLinks,
        streams: any NodeStreamAcceptor, inquiries: @escaping InquiryAnswerer = { _, _ in nil },
        strangers limit: Int = Defaults.Link.strangers, logger: Logger,
        accepts: AcceptWatch = AcceptWatch(),
        accepted: @escaping @Sendable (any Channel) -> Void = { _ in }
    ) async throws -> NodeListener {
        let strangers = PreAuthConnectionLimit(limit: limit)
        var bootstrap = ServerBootstrap(group: group).watched(by: accepts)
            .serverChannelOption(.backlog, value: Defaults.Connection.listenBacklog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: SocketSettings.receiveAllocator)
            .childChannelInitializer { channel in
                CloseOnExec.mark(channel)
                accepted(channel)
                return channel.eventLoop.makeCompletedFuture {
                    guard let stranger = strangers.admit() else { throw ChannelError.eof }
                    channel.closeFuture.whenComplete { _ in stranger.identified() }
                    try channel.pipeline.syncOperations.addHandlers([
                        TLSHandler(server: identity.server, handshakeTimeout: Defaults.Connection.handshakeTimeout),
                        NodeResponder(
                            links: links, streams: streams, inquiries: inquiries, stranger: stranger, logger: logger
                        ).reader(),
                    ])
                }
            }
        for (option, value) in SocketSettings.accepted {
            bootstrap = bootstrap.childChannelOption(option, value: value)
        }
        return NodeListener(channel: try await bootstrap.bind(to: address).get())
    }

    /// Stops accepting; connections that are there stay.
    package func close() async throws { try await channel.close() }
}

/// Answers an inquiry of another node; nil when it is none that is answered.
package typealias InquiryAnswerer = @Sendable (_ inquiry: String, _ node: NodeID) async -> String?
