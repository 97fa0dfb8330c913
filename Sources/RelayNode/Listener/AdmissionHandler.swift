// SPDX-License-Identifier: Apache-2.0

import NIOCore
import ServerSystem
import Synchronization
import TransferBroker

/// Stands in the pipeline of a clients' listener, and closes the connections that there is no room for before they get
/// any handlers.
///
/// The loops of connections have handshakes to do: if they had to look at each new connection, too, a flood of them
/// would fill the kernel's queue, and honest clients would have to ask the kernel a second time, after a second. They
/// have to close those that are refused all the same: when many of those are open still, no more are accepted, as each
/// has a descriptor.
final class AdmissionHandler: ChannelDuplexHandler {
    /// The accepted channel, passed on if it is let in.
    typealias InboundIn = any Channel
    /// A listener writes nothing.
    typealias OutboundIn = Never

    private let services: ConnectionServices
    private let waiting: AdmittedConnections
    /// Connections that are refused, and are still open.
    private var closing = 0
    private var isReadHeldBack = false

    init(services: ConnectionServices, waiting: AdmittedConnections) {
        self.services = services
        self.waiting = waiting
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let channel = unwrapInboundIn(data)
        // A client that was gone before its connection was accepted has no address any more, and so no limits. A flood
        // of such connections must not cost what handshakes cost.
        guard let peer = channel.remoteAddress else { return close(channel, context) }
        // A balancer is not counted itself, but its client is, as soon as the balancer has named it.
        let origin = services.peers.origin(for: peer)
        let (verdict, lease) = services.admission.connectionOpened(from: origin == .connection ? peer : nil)
        if verdict != .admitted, services.admission.isShortOfDescriptors { services.accepts.ranShort() }
        channel.closeFuture.whenComplete { [waiting] _ in
            _ = waiting.take(channel)
            lease.drop()
        }
        guard verdict != .closed else { return close(channel, context) }
        waiting.put(
            channel,
            AcceptedConnection(lease: lease, sendsProxyHeader: origin == .header, isRefused: verdict == .refused)
        )
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        if closing < Defaults.Connection.closingAtOnce { context.read() } else { isReadHeldBack = true }
    }

    private func close(_ channel: any Channel, _ context: ChannelHandlerContext) {
        closing += 1
        channel.closeFuture.hop(to: context.eventLoop).assumeIsolated().whenComplete { _ in self.closed(context) }
        channel.close(promise: nil)
    }

    private func closed(_ context: ChannelHandlerContext) {
        closing -= 1
        guard isReadHeldBack, closing <= Defaults.Connection.closingAtOnce / 2 else { return }
        isReadHeldBack = false
        // The listener may have been told to rest, or to stop, meanwhile.
        if (try? context.channel.syncOptions?.getOption(.autoRead)) ?? false { context.read() }
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
