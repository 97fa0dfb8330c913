// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayServerProgram

@Suite("Limits in words")
struct LimitTextTests {
    @Test(
        "are read",
        arguments: [("transfers=10", 10), ("rate=5M", 5 << 20), ("day=off", 0), (" day=20G ", 20 << 30)]
            as [(String, Int64)])
    func read(text: String, value: Int64) throws {
        let limit = try LimitText(text, takesDefault: false)
        #expect(limit.value == value)
    }

    @Test(
        "are refused with what there is",
        arguments: [
            "", "transfers", "transfers=", "transfers=0", "transfers=-1", "bananas=1", "rate=1K", "day=default",
        ])
    func refused(text: String) {
        #expect(throws: (any Error).self) { try LimitText(text, takesDefault: false) }
    }

    @Test("can be as usual again") func usual() throws {
        #expect(try LimitText("day=default", takesDefault: true).value == nil)
    }
}
