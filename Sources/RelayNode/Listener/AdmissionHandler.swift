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
    private let closing = ClosingConnections()

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
        guard verdict != .closed else { return close(channel, context, lease) }
        channel.closeFuture.whenComplete { [waiting] _ in
            _ = waiting.take(channel)
            lease.drop()
        }
        waiting.put(
            channel,
            AcceptedConnection(lease: lease, sendsProxyHeader: origin == .header, isRefused: verdict == .refused)
        )
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        if closing.hasRoom() { context.read() }
    }

    /// Nothing that is done here for each of a flood of connections wakes another loop, but for the closing itself.
    private func close(_ channel: any Channel, _ context: ChannelHandlerContext, _ lease: ConnectionLease? = nil) {
        closing.began()
        let (loop, context) = (context.eventLoop, NIOLoopBound(context, eventLoop: context.eventLoop))
        channel.closeFuture.whenComplete { [closing] _ in
            lease?.drop()
            if closing.ended() { loop.execute { Self.resume(context.value) } }
        }
        channel.close(promise: nil)
    }

    private static func resume(_ context: ChannelHandlerContext) {
        // The listener may have been told to rest, or to stop, meanwhile.
        if (try? context.channel.syncOptions?.getOption(.autoRead)) ?? false { context.read() }
    }
}

@available(*, unavailable)
extension AdmissionHandler: Sendable {}

/// Connections that are refused and are still open, and whether no more are accepted because of them.
private final class ClosingConnections: Sendable {
    private let count = Atomic(0)
    private let isHeldBack = Atomic(false)

    /// Counts one in.
    func began() { count.add(1, ordering: .sequentiallyConsistent) }

    /// Counts one out, on its own loop.
    /// - Returns: whether more are to be accepted again: once for each time that there was no room.
    func ended() -> Bool {
        let left = count.subtract(1, ordering: .sequentiallyConsistent).newValue
        return left <= Defaults.Connection.closingAtOnce / 2 && goesOn()
    }

    /// Whether more are to be accepted. If not, `ended` says when.
    func hasRoom() -> Bool {
        guard count.load(ordering: .sequentiallyConsistent) >= Defaults.Connection.closingAtOnce else { return true }
        isHeldBack.store(true, ordering: .sequentiallyConsistent)
        // Those that have closed meanwhile have not seen that.
        return count.load(ordering: .sequentiallyConsistent) <= Defaults.Connection.closingAtOnce / 2 && goesOn()
    }

    private func goesOn() -> Bool { isHeldBack.exchange(false, ordering: .sequentiallyConsistent) }
}

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
