// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import Logging
import NIOCore
import NIOPosix
import ServerSystem
import TransferBroker

/// Serves metrics and health over plain HTTP.
struct MetricsListener: Sendable {
    let socket: ListeningSocket
    /// The address as it was configured; nil for a socket of the service manager.
    let configured: String?

    /// The address that is really bound, port included.
    var address: SocketAddress? { socket.address }

    /// Binds the address that `place` names; nil when there is none, or when the usual one cannot be had.
    /// - Throws: ``OperatorError`` when a chosen address cannot be bound.
    static func bind(
        at place: MetricsAddress, _ inherited: InheritedSockets, group: any EventLoopGroup, source: any MetricsSource,
        accepts: AcceptWatch, logger: Logger
    ) async throws(OperatorError) -> MetricsListener? {
        guard let address = place.address else { return nil }
        let bootstrap = bootstrap(group: group, source: source, accepts: accepts)
        if let descriptor = inherited.chosen(.metrics).first {
            return MetricsListener(
                socket: try await address.adopt(descriptor, bootstrap), configured: nil)
        }
        do {
            let socket = try await address.bind(.metrics, inherited) { endpoint in
                try await ListeningSocket.bind(bootstrap, at: endpoint)
            }
            return MetricsListener(socket: socket, configured: "\(address)")
        } catch {
            guard place == .usual else { throw error }
            logger.warning(
                "metrics are not served: set --metrics-listen", metadata: [LogKeys.error: "\(error.message)"]
            )
            return nil
        }
    }

    private static func bootstrap(
        group: any EventLoopGroup, source: any MetricsSource, accepts: AcceptWatch
    ) -> ServerBootstrap {
        let connections = ConnectionCount(limit: Defaults.Metrics.maximumConnections)
        return ServerBootstrap(group: group).watched(by: accepts)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .acceptedOptions()
            .childChannelInitializer { channel in
                CloseOnExec.mark(channel)
                return channel.eventLoop.makeCompletedFuture {
                    guard connections.enter() else { throw ChannelError.eof }
                    channel.closeFuture.whenComplete { _ in connections.leave() }
                    // The whole pipeline: one request, no TLS.
                    try channel.pipeline.syncOperations.addHandler(MetricsResponder(source: source).reader())
                }
            }
    }

    /// Answers from now on.
    func start() async throws { try await socket.accept() }

    /// Stops accepting.
    func stop() async { await socket.close() }
}

/// Where `/metrics`, `/healthz` and `/readyz` are to be answered.
enum MetricsAddress: Hashable, Sendable {
    case off
    /// The default. Another relay of this machine may have taken the address, which must not keep this one from
    /// serving.
    case usual
    case chosen(ListenAddress)

    /// The address; nil when there is none.
    var address: ListenAddress? {
        switch self {
        case .off: nil
        case .usual: Defaults.Metrics.address
        case .chosen(let address): address
        }
    }
}
