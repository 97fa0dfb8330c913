// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import ServerSystem
import Synchronization
import TransferBroker

/// Stands in the pipeline of a clients' listener, and closes the connections that there is no room for before they get
/// any handlers.
///
/// The loops of connections have handshakes to do: if they had to look at each new connection, too, a flood of them
/// would fill the kernel's queue, and honest clients would have to ask the kernel a second time, after a second.
///
/// NIO makes a channel of each connection, and gives it to one of those loops, which has to close it. While connections
/// are refused, the listener is therefore not waited for but looked at, once in an interval, and what waits there is
/// accepted without NIO: what is refused is never more than a descriptor.
final class AdmissionHandler: ChannelDuplexHandler {
    /// The accepted channel, passed on if it is let in.
    typealias InboundIn = any Channel
    /// A listener writes nothing.
    typealias OutboundIn = Never

    /// Makes a channel of a connection that was accepted without NIO, and closes it if that fails.
    typealias Adoption = @Sendable (_ descriptor: CInt, AcceptedConnection) -> EventLoopFuture<any Channel>

    private enum Mode {
        /// NIO accepts.
        case waiting
        /// Connections are refused: to be looked at, now or when the interval is over.
        case flooded
        case untilNextLook
    }

    private let services: ConnectionServices
    private let admitted: AdmittedConnections
    private let adopt: Adoption
    /// Channels that were refused, and that their loops have not closed yet.
    private let closing = ClosingConnections()
    private var mode = Mode.waiting

    init(services: ConnectionServices, admitted: AdmittedConnections, adopt: @escaping Adoption) {
        self.services = services
        self.admitted = admitted
        self.adopt = adopt
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let channel = Self.unwrapInboundIn(data)
        // A client that was gone before its connection was accepted has no address any more, and so no limits. A flood
        // of such connections must not cost what handshakes cost.
        guard let peer = channel.remoteAddress else { return close(channel) }
        let (connection, isClosed) = admit(peer)
        guard !isClosed else { return close(channel, connection.lease) }
        channel.closeFuture.whenComplete { [admitted] _ in
            _ = admitted.take(channel)
            connection.lease.drop()
        }
        admitted.put(channel, connection)
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        switch mode {
        case .waiting: context.read()
        case .flooded: look(context)
        case .untilNextLook: break
        }
    }

    /// Asks for a place for a connection from `peer`; the place is to be given back also where it is to be closed.
    private func admit(_ peer: SocketAddress) -> (AcceptedConnection, isClosed: Bool) {
        // A balancer is not counted itself, but its client is, as soon as the balancer has named it.
        let origin = services.peers.origin(for: peer)
        let (verdict, lease) = services.admission.connectionOpened(from: origin == .connection ? peer : nil)
        if verdict != .admitted, services.admission.isShortOfDescriptors { services.accepts.ranShort() }
        let connection = AcceptedConnection(
            lease: lease, sendsProxyHeader: origin == .header, isRefused: verdict == .refused)
        return (connection, verdict == .closed)
    }

    private func close(_ channel: any Channel, _ lease: ConnectionLease? = nil) {
        mode = .flooded
        closing.began()
        channel.closeFuture.whenComplete { [closing] _ in
            lease?.drop()
            closing.ended()
        }
        channel.close(promise: nil)
    }

    /// Accepts what waits without NIO, and has NIO wait again once none of it was refused.
    private func look(_ context: ChannelHandlerContext) {
        let listener = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { $0 }
        let refused = listener.flatMap { $0 }.map(acceptWaiting) ?? 0
        guard refused > 0 || closing.count > 0 else {
            mode = .waiting
            return context.read()
        }
        mode = .untilNextLook
        context.eventLoop.assumeIsolated().scheduleTask(in: Defaults.Connection.floodInterval) {
            self.mode = .flooded
            // The listener may have been told to rest, or to stop, meanwhile.
            if (try? context.channel.syncOptions?.getOption(.autoRead)) ?? false { self.look(context) }
        }
    }

    /// Accepts connections that wait at `listener`, up to the most at once. When that fails, NIO meets the same when it
    /// tries next.
    /// - Returns: how many were refused.
    private func acceptWaiting(at listener: CInt) -> Int {
        var refused = 0
        for _ in 0..<Defaults.Connection.acceptedAtOnce {
            guard let descriptor = WaitingConnection.accept(at: listener) else { break }
            services.accepts.accepted()
            let decision = WaitingConnection.peer(of: descriptor).map(admit)
            guard let (connection, isClosed) = decision, !isClosed else {
                refused += 1
                Glibc.close(descriptor)
                decision?.0.lease.drop()
                continue
            }
            adopt(descriptor, connection).whenComplete { result in
                guard case .success(let channel) = result else { return connection.lease.drop() }
                channel.closeFuture.whenComplete { _ in connection.lease.drop() }
            }
        }
        return refused
    }
}

@available(*, unavailable)
extension AdmissionHandler: Sendable {}

/// How many connections are refused, and still open.
private final class ClosingConnections: Sendable {
    private let open = Atomic(0)

    var count: Int { open.load(ordering: .sequentiallyConsistent) }

    func began() { open.add(1, ordering: .sequentiallyConsistent) }

    func ended() { open.subtract(1, ordering: .sequentiallyConsistent) }
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
