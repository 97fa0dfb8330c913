// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import TestSupport

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

extension RedisClient {
    /// As `send`, for those who wait.
    func reply(
        to command: RedisCommand, timeout: TimeAmount = RedisDefaults.commandTimeout
    ) async throws -> RESPValue {
        try await send(command, timeout: timeout).get()
    }
}

extension RedisSettings {
    /// Settings with short pauses. Times that must not pass by accident on a slow machine stay long.
    static func testing(_ url: String) throws -> RedisSettings {
        var settings = try RedisSettings(url: RedisURL(url))
        settings.backOff = RedisBackOff(first: .milliseconds(5), longest: .milliseconds(40))
        settings.connectTimeout = .seconds(10)
        settings.handshakeTimeout = .seconds(10)
        settings.subscribeTimeout = .seconds(10)
        return settings
    }
}

extension RedisServer {
    /// How to reach it, with times that keep tests short.
    func settings(login: String = "", database: Int = 0) throws -> RedisSettings {
        try .testing("redis://\(login)127.0.0.1:\(port)/\(database)")
    }
}
