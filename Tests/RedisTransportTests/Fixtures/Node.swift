// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix

@testable import RedisTransport

/// A client and what it was told, for one test.
final class Node: Sendable {
    let client: RedisClient
    let changes = Journal<RedisConnectionState>()

    init(_ settings: RedisSettings, log: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) {
        let changes = changes
        client = RedisClient(
            settings: settings, eventLoop: MultiThreadedEventLoopGroup.singleton.next(), log: log,
            changed: { changes.append($0) })
    }

    /// Starts the client and waits for its connection.
    func connect() async throws {
        client.start()
        _ = try await connected()
    }

    /// The number of the next connection.
    @discardableResult
    func connected() async throws -> Int { try await changes.connected() }

    /// Why the connection ended, or the attempt failed.
    func disconnected() async throws -> any Error { try await changes.disconnected() }

    func stop() async throws { try await client.stop().get() }
}

extension Journal<RedisConnectionState> {
    /// The number of the next connection.
    func connected() async throws -> Int {
        guard
            case .connected(let generation, _) = try await next(
                "a connection",
                where: {
                    if case .connected = $0 { true } else { false }
                })
        else { return 0 }
        return generation
    }

    /// Why the connection ended, or the attempt failed.
    func disconnected() async throws -> any Error {
        guard
            case .disconnected(let error) = try await next(
                "the end of the connection",
                where: {
                    if case .disconnected = $0 { true } else { false }
                })
        else { return RedisError(.stopped) }
        return error
    }
}
