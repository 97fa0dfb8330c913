// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RelayNode

@Suite struct NewNamesTests {
    private let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func aNewDayBringsNewNames() {
        let names = NewNames(limit: 2)
        #expect(names.take("one", now: begin) && names.take("one", now: begin))
        #expect(!names.take("one", now: begin + .hours(23)) && names.take("other", now: begin))
        names.giveBack("one")
        #expect(names.take("one", now: begin) && !names.take("one", now: begin))
        #expect(names.take("one", now: begin + .hours(24)))
    }

    @Test func withoutLimitsByAddressThereIsNone() {
        let names = NewNames(limit: AddressLimit.off.newNames)
        for _ in 0..<10_000 { #expect(names.take("one", now: begin)) }
        let others = NewNames(limit: 1)
        for _ in 0..<3 { #expect(others.take(nil, now: begin)) }
    }
}
