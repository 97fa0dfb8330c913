// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// Takes what is still on its way to a download after a loss, and cuts it once nothing more comes.
final class DrainWatch: Sendable {
    private struct State {
        var bytes: UInt64
        var stillLooks = 0
        var cancel: (@Sendable () -> Void)?
        var isOver = false
    }

    private let work: Task<Void, Never>
    private let sink: any TransferSink
    private let clock: any SessionClock
    private let end: NIODeadline
    private let state: Mutex<State>

    /// - Parameters:
    ///   - work: what takes the bytes.
    ///   - sink: where they go.
    init(_ work: Task<Void, Never>, into sink: any TransferSink, clock: any SessionClock) {
        self.work = work
        self.sink = sink
        self.clock = clock
        end = clock.now() + Defaults.drainTotal
        state = Mutex(State(bytes: sink.receivedBytes))
    }

    /// Waits until the work has ended, by itself or cut.
    func finish() async {
        lookLater()
        await work.value
        let cancel = state.withLock { state in
            state.isOver = true
            return state.cancel
        }
        cancel?()
    }

    private func lookLater() {
        let next = clock.now() + .nanoseconds(Defaults.drainSilence.nanoseconds / 2)
        let cancel = clock.wake(at: min(next, end)) { self.look() }
        let isOver = state.withLock { state in
            state.cancel = cancel
            return state.isOver
        }
        if isOver { cancel() }
    }

    private func look() {
        let (bytes, isLate) = (sink.receivedBytes, clock.now() >= end)
        let goesOn = state.withLock { state in
            state.stillLooks = state.bytes == bytes ? state.stillLooks + 1 : 0
            state.bytes = bytes
            // Twice: after this program was stopped for a time, the first look comes before what has arrived.
            return !state.isOver && !isLate && state.stillLooks < 2
        }
        if goesOn { lookLater() } else { work.cancel() }
    }
}
