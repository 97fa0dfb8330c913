// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport
import TestSupport
import Testing

@testable import RelayCluster

@Suite("Session ticket keys that Redis does not confirm", .serialized)
struct UnconfirmedTicketsTests {
    /// Whether the node still uses `keyring` when it reads the keys after so many hours.
    private func uses(_ node: RoutedNode, after hours: Int64) async throws -> Bool {
        let before = node.tickets.keyring
        // With Redis away the lookup fails, which is the point.
        try? await node.parts.routing.tickets.refresh(now: .now() + .hours(hours), rotated: {}).get()
        return node.tickets.keyring == before
    }

    @Test("shared keys that Redis has not confirmed for as long as keys live are given up, and taken up again")
    func away() async throws {
        let redis = try await RedisServer()
        let directory = try TemporaryDirectory()
        let node = try RoutedNode("a", redis, secret: secretFile(directory), timing: RoutedNode.slow)
        let own = node.tickets.keyring
        try await withNodes([node]) {
            try await eventually("shared keys") { node.tickets.keyring != own }
            let shared = node.tickets.keyring
            try await redis.kill()
            #expect(try await uses(node, after: 11))
            #expect(try await !uses(node, after: 13))
            #expect(try await uses(node, after: 26), "own keys are rotated by themselves")
            try await redis.start()
            try await eventually("the shared keys") {
                try? await node.parts.routing.tickets.refresh(rotated: {}).get()
                return node.tickets.keyring == shared
            }
            try await redis.command("SET", "{relay}:tickets", "nonsense")
            #expect(try await uses(node, after: 11))
            #expect(try await !uses(node, after: 13))
        }
    }
}
