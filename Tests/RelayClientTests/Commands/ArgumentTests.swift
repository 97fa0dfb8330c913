// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayClient

@Suite struct ArgumentTests {
    private static let sizes: [(String, UInt64)] = [
        ("0", 0), ("500", 500), ("1K", 1_024), ("10k", 10_240), ("10M", 10_485_760), ("2G", 2_147_483_648),
        ("1T", 1_099_511_627_776), ("3MB", 3_145_728), ("3MiB", 3_145_728), ("7B", 7),
    ]

    @Test(arguments: sizes)
    func readsSizes(_ row: (String, UInt64)) {
        #expect(ByteSize(argument: row.0)?.bytes == row.1)
    }

    @Test(arguments: ["", "-1", "1.5M", "M", "1X", "1 M", "99999999999999999999", "18446744073709551615K", "1٣"])
    func refusesOtherSizes(_ text: String) {
        #expect(ByteSize(argument: text) == nil)
    }

    @Test(arguments: [("30", 30_000), ("30s", 30_000), ("10m", 600_000), ("24h", 86_400_000), ("250ms", 250), ("0", 0)])
    func readsTimes(_ row: (String, Int64)) {
        #expect(TimeSpan(argument: row.0)?.amount == .milliseconds(row.1))
    }

    @Test(arguments: ["", "m", "-1s", "1.5h", "1d", "9223372036854775807h", "999999h"])
    func refusesOtherTimes(_ text: String) {
        #expect(TimeSpan(argument: text) == nil)
    }

    @Test func readsPeers() {
        #expect(PeerList(argument: "bob")?.names.map(\.rawValue) == ["bob"])
        #expect(PeerList(argument: "bob,alice,bob")?.names.map(\.rawValue) == ["bob", "alice"])
        for text in ["", ",", "bob,", "Bob", "bob, alice", "-bob"] { #expect(PeerList(argument: text) == nil) }
    }
}
