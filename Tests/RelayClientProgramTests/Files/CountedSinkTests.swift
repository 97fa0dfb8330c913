// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// What counts towards the limit of a day.
struct CountedSinkTests {
    private static let now: UInt64 = 1_780_000_000_000

    @Test(arguments: [true, false]) func whatComesInTwoAttemptsCountsAsAWhole(isKept: Bool) throws {
        let folder = try ReceivedFolder()
        var generator = SeededGenerator(seed: 11)
        let tree = try SentTree.file("film", generator.bytes(20_000))
        let policies = PolicyStore(folder.temporary.file("profile"))
        let sender = try #require(PeerName(rawValue: "alice"))
        let parts = ReceivedParts(
            directory: folder.directory, options: ReceivedOptions(), calls: ResumedTreeTests.calls)
        let rules = ReceiveRules(
            sender: sender, output: .folder(parts), standing: SenderPolicy(.accept, maximumDay: 50_000),
            policies: policies)
        func today() throws -> UInt64 { try policies.bytesToday(from: sender, now: Self.now) }
        let first = try rules.open(try tree.offer, time: { Self.now }).sink
        #expect(try today() == 20_000)
        #expect(try !CarryingAttempt(tree: tree).carry(into: first, atMost: 12_000).isWhole)
        let came = first.receivedBytes
        #expect(came > 5_000 && came < 15_000)
        first.keep()
        #expect(try today() == 20_000)
        let second = try rules.open(try tree.offer, time: { Self.now }).sink
        #expect(second.receivedBytes == came)
        guard isKept else {
            second.discard()
            #expect(try today() == came)
            return
        }
        #expect(try CarryingAttempt(tree: tree).carry(into: second).isWhole)
        _ = try second.finish()
        second.confirmed()
        #expect(try today() == 20_000)
    }
}
