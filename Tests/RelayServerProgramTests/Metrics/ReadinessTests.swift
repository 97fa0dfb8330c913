// SPDX-License-Identifier: Apache-2.0

import RelayNode
import StreamRelay
import Testing

@testable import RelayServerProgram

@Suite("Whether new clients are wanted")
struct ReadinessTests {
    private func node(redis: Bool, joined: Bool, hasJoined: Bool) -> ClusterStatus {
        ClusterStatus(
            node: "n1", redis: redis, joined: joined, hasJoined: hasJoined, nodes: 0, links: 0, lost: 0, refused: 0
        )
    }

    @Test("by the only node until it drains")
    func alone() {
        #expect(Readiness(.serving, nil) == .ready)
        #expect(Readiness(.draining, nil) == .draining)
        #expect(Readiness(.stopping, nil) == .draining)
    }

    @Test("by a node once it has had its place, also when Redis is away after that")
    func cluster() {
        #expect(Readiness(.serving, node(redis: false, joined: false, hasJoined: false)) == .joining)
        #expect(Readiness(.serving, node(redis: true, joined: false, hasJoined: false)) == .joining)
        #expect(Readiness(.serving, node(redis: true, joined: true, hasJoined: true)) == .ready)
        #expect(Readiness(.serving, node(redis: false, joined: false, hasJoined: true)) == .ready)
        #expect(Readiness(.draining, node(redis: true, joined: true, hasJoined: true)) == .draining)
    }

    @Test("and only then the answer is 200")
    func status() {
        #expect(Readiness.ready.status == .ok)
        #expect(Readiness.draining.status == .unavailable)
        #expect(Readiness.joining.status == .unavailable)
    }
}
