// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import RelayNode
@testable import TransferBroker

@Suite("Event loops and the clock are looked at")
struct LoopWatchTests {
    @Test("how late a timer comes is counted, also on a loop that is busy for long")
    func lag() {
        let loop = EmbeddedEventLoop()
        let late = Mutex(TimeAmount.zero)
        let watch = LoopWatch(
            means: .init(now: { loop.now + late.withLock { $0 } }, clockOffset: { nil }),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        watch.start(on: [loop])
        loop.advanceTime(by: Defaults.Loops.interval)
        #expect(watch.lag.count == 1)
        #expect(watch.lag.counts.first == 1)
        late.withLock { $0 = .milliseconds(300) }
        loop.advanceTime(by: Defaults.Loops.interval)
        #expect(watch.lag.count == 2)
        #expect(watch.lag.counts[Histogram.Scale.instants.milliseconds.firstIndex(of: 500) ?? 0] == 1)
    }

    @Test("a clock that is set is counted, one that is corrected is not")
    func clock() {
        let offset = Mutex(TimeAmount?.some(.seconds(1000)))
        let watch = LoopWatch(
            means: .init(clockOffset: { offset.withLock { $0 } }),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let told = Atomic<UInt64>(0)
        watch.whenStepped { told.wrappingAdd(1, ordering: .relaxed) }
        let looks: [(Int64?, UInt64)] = [
            (1_000_000, 0), (1_000_900, 0), (990_000, 1), (nil, 1), (990_000, 1), (5_000_000, 2),
        ]
        for (seen, steps) in looks {
            offset.withLock { $0 = seen.map { TimeAmount.milliseconds($0) } }
            watch.lookAtClock()
            #expect(watch.clockSteps == steps)
            #expect(told.load(ordering: .relaxed) == steps)
        }
    }
}
