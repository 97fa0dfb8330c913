// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import Logging
import NIOCore
import NIOPosix
import ServerSystem
import TransferBroker

/// Accepts connections for metrics and health, over plain HTTP.
struct MetricsListener: Sendable {
    private let channel: any Channel

    /// The address that is really bound, port included.
    var address: SocketAddress? { channel.localAddress }

    /// Listens where `place` says; nil when that is nowhere, or when the usual address cannot be had.
    /// - Throws: ``OperatorError`` when a chosen address cannot be bound.
    static func open(
        at place: MetricsAddress, group: any EventLoopGroup, source: MetricsSource, accepts: AcceptWatch, logger: Logger
    ) async throws(OperatorError) -> MetricsListener? {
        guard let address = place.address else { return nil }
        do {
            return try await bind(address.resolved(), group: group, source: source, accepts: accepts)
        } catch {
            let failure = error as? OperatorError ?? address.failure(error)
            guard place == .usual else { throw failure }
            logger.warning(
                "metrics are not served: set --metrics-listen", metadata: [LogKeys.error: "\(failure.message)"]
            )
            return nil
        }
    }

    private static func bind(
        _ address: SocketAddress, group: any EventLoopGroup, source: MetricsSource, accepts: AcceptWatch
    ) async throws -> MetricsListener {
        let connections = ConnectionCount(limit: Defaults.Metrics.maximumConnections)
        var bootstrap = ServerBootstrap(group: group).watched(by: accepts)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                CloseOnExec.mark(channel)
                return channel.eventLoop.makeCompletedFuture {
                    guard connections.enter() else { throw ChannelError.eof }
                    channel.closeFuture.whenComplete { _ in connections.leave() }
                    try channel.pipeline.syncOperations.addHandler(MetricsResponder(source: source).reader())
                }
            }
        for (option, value) in SocketSettings.accepted {
            bootstrap = bootstrap.childChannelOption(option, value: value)
        }
        return MetricsListener(channel: try await bootstrap.bind(to: address).get())
    }

    /// Stops accepting.
    func close() async { try? await channel.close() }
}
