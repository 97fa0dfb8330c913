// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayClientProgram
@testable import TransferClient

@Suite(.timeLimit(.minutes(5))) struct EventQueueTests {
    @Test func eventsComeInTheirOrder() async {
        let queue = EventQueue<Int>()
        for number in 1...100 { queue.post(number) }
        var events = queue.events.makeAsyncIterator()
        for number in 1...100 { #expect(await events.next() == number) }
    }

    @Test func foreignEventsFillHalfOfTheQueueAtMost() async {
        let queue = EventQueue<Int>()
        var taken = 0
        while queue.postForeign(taken), taken < Defaults.mostEvents { taken += 1 }
        #expect((Defaults.mostEvents / 2 - 1...Defaults.mostEvents / 2).contains(taken))
        // There is room for this program's own.
        queue.post(-1)
        var events = queue.events.makeAsyncIterator()
        for _ in 0...taken { #expect(await events.next() ?? -1 >= 0) }
        #expect(await events.next() == -1)
        #expect(queue.postForeign(0))
    }
}
