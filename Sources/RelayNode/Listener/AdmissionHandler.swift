// SPDX-License-Identifier: Apache-2.0

import NIOCore
import ServerSystem
import Synchronization

/// Stands in the pipeline of a clients' listener, and closes the connections that there is no room for before anything
/// is made for them.
///
/// The loops of connections have handshakes to do: if they had to look at each new connection, too, a flood of them
/// would fill the kernel's queue, and honest clients would have to ask the kernel a second time, after a second.
final class AdmissionHandler: ChannelInboundHandler {
    /// The accepted channel, passed on if it is let in.
    typealias InboundIn = any Channel

    private let services: ConnectionServices
    private let waiting: AdmittedConnections

    init(services: ConnectionServices, waiting: AdmittedConnections) {
        self.services = services
        self.waiting = waiting
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let channel = unwrapInboundIn(data)
        // A client that was gone before its connection was accepted has no address any more, and so no limits. A flood
        // of such connections must not cost what handshakes cost.
        guard let peer = channel.remoteAddress else { return channel.close(promise: nil) }
        // A balancer is not counted itself, but its client is, as soon as the balancer has named it.
        let origin = services.peers.origin(for: peer)
        let (verdict, lease) = services.admission.connectionOpened(from: origin == .connection ? peer : nil)
        if verdict != .admitted, services.admission.isShortOfDescriptors { services.accepts.ranShort() }
        channel.closeFuture.whenComplete { [waiting] _ in
            _ = waiting.take(channel)
            lease.drop()
        }
        guard verdict != .closed else { return channel.close(promise: nil) }
        waiting.put(
            channel,
            AcceptedConnection(lease: lease, sendsProxyHeader: origin == .header, isRefused: verdict == .refused)
        )
        context.fireChannelRead(data)
    }
}

@available(*, unavailable)
extension AdmissionHandler: Sendable {}

/// Connections on their way from the listener's loop to their own, where they get their handlers.
final class AdmittedConnections: Sendable {
    private let connections = Mutex<[ObjectIdentifier: AcceptedConnection]>([:])

    /// Keeps what was decided about `channel`.
    func put(_ channel: any Channel, _ connection: AcceptedConnection) {
        connections.withLock { $0[ObjectIdentifier(channel)] = connection }
    }

    /// What was decided about `channel`; nil when that was taken already, or the channel is closed.
    func take(_ channel: any Channel) -> AcceptedConnection? {
        connections.withLock { $0.removeValue(forKey: ObjectIdentifier(channel)) }
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
