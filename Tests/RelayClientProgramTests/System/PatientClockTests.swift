// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import Testing

@testable import RelayClientProgram

@Suite struct PatientClockTests {
    /// A clock that rings when the test says so, however late that is.
    private final class Alarm: SessionClock {
        private let state = Mutex((now: begin, rings: [(at: NIODeadline, action: @Sendable () -> Void)]()))

        /// What is set.
        var deadlines: [NIODeadline] { state.withLock { $0.rings.map(\.at) } }

        func now() -> NIODeadline { state.withLock { $0.now } }

        func wake(at deadline: NIODeadline, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
            state.withLock { $0.rings.append((deadline, action)) }
            return {}
        }

        /// What was set first rings now.
        func ring(at now: NIODeadline) {
            let first = state.withLock { state in
                state.now = now
                return state.rings.removeFirst()
            }
            first.action()
        }
    }

    private final class Count: Sendable {
        private let count = Atomic(0)

        var value: Int { count.load(ordering: .relaxed) }
        func add() { count.add(1, ordering: .relaxed) }
    }

    private static let begin = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let due = begin + .seconds(30)
    private let alarm = Alarm()
    private let woken = Count()

    /// Wants to be woken at `deadline`. Returns what calls that off.
    private func set(at deadline: NIODeadline) -> @Sendable () -> Void {
        PatientClock(clock: alarm).wake(at: deadline) { [woken] in woken.add() }
    }

    @Test func aTimerThatIsInTimeWakesAtOnce() {
        _ = set(at: due)
        alarm.ring(at: due + .milliseconds(900))
        #expect(woken.value == 1 && alarm.deadlines.isEmpty)
    }

    @Test func whoStoodStillReadsFirst() {
        _ = set(at: due)
        let late = due + .seconds(60)
        alarm.ring(at: late)
        #expect(woken.value == 0 && alarm.deadlines == [late + Defaults.standstillPause])
        alarm.ring(at: late + .seconds(60))
        #expect(woken.value == 1 && alarm.deadlines.isEmpty, "it is put off once")
    }

    @Test func anAlarmThatIsCalledOffDoesNotRing() {
        let cancel = set(at: due)
        alarm.ring(at: due + .seconds(60))
        cancel()
        alarm.ring(at: due + .seconds(61))
        #expect(woken.value == 0)
    }

    @Test func whatWasDueBeforeItWasSetIsNotLate() {
        _ = set(at: Self.begin - .seconds(60))
        alarm.ring(at: Self.begin)
        #expect(woken.value == 1)
    }
}
