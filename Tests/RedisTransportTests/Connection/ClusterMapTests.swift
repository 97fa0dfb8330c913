// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RedisTransport

@Suite struct ClusterMapTests {
    private func node(_ host: RESPValue, _ port: Int64) -> RESPValue {
        .array([host, .integer(port), .bulk(ByteBuffer(string: "id")), .array([])])
    }

    private func bulk(_ text: String) -> RESPValue { .bulk(ByteBuffer(string: text)) }

    @Test func mastersAndReplicasAreRead() throws {
        let reply = RESPValue.array([
            .array([.integer(0), .integer(9), node(bulk("10.0.0.1"), 1), node(bulk("10.0.0.2"), 1)]),
            .array([.integer(10), .integer(16_383), node(bulk("10.0.0.3"), 1), node(bulk("10.0.0.1"), 1)]),
        ])
        let nodes = ClusterMap.nodes(reply, by: try .test("h:9"))
        #expect(nodes.map(\.description) == ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"])
    }

    @Test func aServerThatDoesNotKnowItsHostIsWhereItWasReached() throws {
        for host in [RESPValue.null, bulk(""), bulk("?")] {
            let reply = RESPValue.array([.array([.integer(0), .integer(9), node(host, 7)])])
            #expect(ClusterMap.nodes(reply, by: try .test("h:9")) == [try .test("h:7")])
            #expect(ClusterMap.nodes(reply, by: nil).isEmpty)
        }
    }

    @Test func garbageIsLeftOut() throws {
        let hostile: [RESPValue] = [
            .null, .integer(1), .simple("x"), .error("ERR"), .array([.null]), .array([.array([])]),
            .array([.array([.integer(0), .integer(1), .null, .array([]), .array([.null])])]),
            .array([.array([.integer(0), .integer(1), node(bulk("h"), 0), node(bulk("h"), 1 << 40)])]),
            .array([.array([.integer(0), .integer(1), node(bulk("a b"), 1), node(.integer(1), -1)])]),
        ]
        for reply in hostile { #expect(ClusterMap.nodes(reply, by: try .test("h:9")).isEmpty, "\(reply)") }
        let many = RESPValue.array([.array([.integer(0), .integer(1)] + (1...5000).map { node(bulk("h\($0)"), 1) })])
        #expect(ClusterMap.nodes(many, by: nil).count == RedisDefaults.clusterNodes)
    }

    @Test(
        arguments: [
            ("MOVED 1341 10.0.0.2:7000", "10.0.0.2:7000"), ("MOVED 1341 :7000", "h:7000"),
            ("MOVED 1341 ?:7000", "h:7000"), ("MOVED 1341 2001:db8::2:7000", "[2001:db8::2]:7000"),
            ("MOVED 1341 redis-2.example:7000", "redis-2.example:7000"), ("MOVED 1341 10.0.0.2:0", nil),
            ("MOVED 1341 10.0.0.2:70000", nil), ("MOVED 1341 10.0.0.2", nil), ("MOVED 1341", nil), ("MOVED", nil),
            ("MOVED 1341 a b:7000", nil), ("MOVED 1341 a@b:7000", nil), ("ASK 1341 10.0.0.2:7000", nil), ("", nil),
        ]) func whereAServerSendsThisOne(_ text: String, _ place: String?) throws
    {
        #expect(RedisEndpoint(moved: text, by: try .test("h:9"))?.description == place)
    }
}
