// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import RedisTransport
import RelayNode
import RelayTestFixtures
import ServerSystem
import Synchronization
import TLSTransport
import TestSupport
import TransferBroker
import WSProtocol

@testable import RelayCluster

/// One node as far as Redis knows it, and what it was told.
final class RoutedNode: ClusterRoutingDelegate {
    /// What a delegate is told.
    enum Event: Hashable, Sendable {
        case receivers(PeerName, [SessionID])
        case gone(NodeID, Incarnation)
        case user(PeerName, User?)
    }

    /// The secret of nodes that are not said to have another.
    static let secret = ClusterSecret(bytes: [UInt8](repeating: 7, count: 32))!

    let parts: ClusterParts
    let tickets = TicketKeys()
    let address: ListenAddress
    private let seen = Mutex<[Event]>([])
    /// Whose sessions are here.
    let sessions = Mutex<[PeerName]>([])

    var routing: ClusterRouting { parts.routing }
    var users: RedisUserDirectory { parts.users }
    var node: NodeID { parts.node }
    var events: [Event] { seen.withLock { $0 } }

    /// Times that keep tests short, and yet do not run out on a slow machine.
    static let quick = RoutingTiming(
        renewal: .milliseconds(200), life: .seconds(5), claim: .seconds(10), claimLookup: .milliseconds(50),
        ticketLookup: .milliseconds(200))
    /// Nothing happens because time passes.
    static let slow = RoutingTiming(
        renewal: .seconds(600), life: .seconds(600), claim: .seconds(60), claimLookup: .milliseconds(50),
        ticketLookup: .seconds(600))

    convenience init(
        _ id: String, _ redis: RedisServer, port: UInt16 = 1000, login: String = "",
        registration: ServerMessage.Registration = .open, secret: String? = nil,
        local: [User] = [], registry: UserRegistry = UserRegistry(),
        imported: @escaping @Sendable () -> Void = {}, timing: RoutingTiming = RoutedNode.quick
    ) throws {
        try self.init(
            id, redisPort: redis.port, port: port, login: login, registration: registration, secret: secret,
            local: local, registry: registry,
            imported: imported, timing: timing)
    }

    init(
        _ id: String, redisPort: Int, port: UInt16 = 1000, login: String = "",
        registration: ServerMessage.Registration = .open, secret: String? = nil,
        local: [User] = [], registry: UserRegistry = UserRegistry(),
        imported: @escaping @Sendable () -> Void = {}, timing: RoutingTiming = RoutedNode.quick
    ) throws {
        address = ListenAddress(host: "127.0.0.1", port: port)
        let redis = try RedisURL("redis://\(login)127.0.0.1:\(redisPort)")
        var registry = registry
        for user in local { registry.users[user.name] = user }
        parts = ClusterParts(
            node: .test(id), redis: try RedisSettings(url: redis, trust: .system),
            secret: try secret.map { try ClusterSecret(path: $0) } ?? Self.secret, registration: registration,
            local: registry,
            imported: imported, tickets: tickets, timing: timing, loop: MultiThreadedEventLoopGroup.singleton.next(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// - Parameter ownsAddress: whether no other node can be dialled at its address.
    func start(ownsAddress: Bool = true) async throws {
        try await routing.start(at: address, ownsAddress: ownsAddress, self)
    }

    func receiversAppeared(_ name: PeerName, _ sessions: [SessionID]) { record(.receivers(name, sessions)) }
    func nodeGone(_ node: NodeID, incarnation: Incarnation) { record(.gone(node, incarnation)) }
    func accountChanged(_ name: PeerName, _ account: UserAccount) {}

    func userChanged(_ name: PeerName, _ user: User?) { record(.user(name, user)) }

    var names: [PeerName] { sessions.withLock { $0 } }

    private func record(_ event: Event) { seen.withLock { $0.append(event) } }

    /// Waits until it was told of `event`.
    func told(_ event: Event) async throws {
        try await eventually("\(event)") { self.events.contains(event) }
    }
}

/// Runs `body` with nodes that have started, and stops them.
func withNodes(_ nodes: [RoutedNode], _ body: () async throws -> Void) async throws {
    var result: Result<Void, any Error> = .success(())
    do {
        for node in nodes { try await node.start() }
        try await body()
    } catch {
        result = .failure(error)
    }
    for node in nodes { await node.routing.stop() }
    try result.get()
}
