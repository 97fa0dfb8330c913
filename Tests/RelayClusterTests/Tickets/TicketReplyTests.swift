// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RedisTransport
import TLSTransport
import Testing

@testable import RelayCluster

@Suite("What Redis says about ticket keys")
struct TicketReplyTests {
    private func reply(_ now: Int64) -> RESPValue { .array([.bulk(ByteBuffer(string: "x")), .integer(now)]) }

    @Test("a time outside the range of a clock is refused, and the last one inside is not")
    func times() throws {
        for now in [Int64.max, .max - 59, .min, -1, (1 << 40) + 1] { #expect(TicketReply(reply(now)) == nil) }
        for wrong in [RESPValue.null, .array([]), .array([.null, .integer(1)]), .array([.integer(1), .integer(1)])] {
            #expect(TicketReply(wrong) == nil)
        }
        for now in [0, Int64(1) << 40] {
            let read = try #require(TicketReply(reply(now)))
            #expect(read.text == "x" && read.now == now)
            for created in [Int64.min, .max, 0] {
                let keyring = TicketKeyring(.random(created: created))
                // No sum overflows, whatever the keys say about themselves.
                _ = TicketDecision(.keyring(keyring), current: keyring, now: read.now)
            }
        }
    }
}
