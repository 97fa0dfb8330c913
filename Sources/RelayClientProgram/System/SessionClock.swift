// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// The time, and being woken at one.
protocol SessionClock: Sendable {
    func now() -> NIODeadline
    /// Runs `action` at `deadline`, unless what is returned is called before.
    func wake(at deadline: NIODeadline, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void
}

/// The clock of an event loop.
struct EventLoopClock: SessionClock {
    let loop: any EventLoop

    func now() -> NIODeadline { .now() }

    func wake(at deadline: NIODeadline, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
        let task = loop.scheduleTask(deadline: deadline, action)
        return { task.cancel() }
    }
}

/// A clock that wakes a little later where this process stood still: what was said to it meanwhile waits in its
/// sockets, and is read before anything is taken to be overdue.
struct PatientClock: SessionClock {
    let clock: any SessionClock

    private final class Wake: Sendable {
        let isCancelled = Atomic(false)
    }

    func now() -> NIODeadline { clock.now() }

    func wake(at deadline: NIODeadline, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
        let due = max(deadline, now())
        let wake = Wake()
        let cancel = clock.wake(at: due) { [clock] in
            let now = clock.now()
            guard now - due >= Defaults.standstill else { return action() }
            _ = clock.wake(at: now + Defaults.standstillPause) {
                if !wake.isCancelled.load(ordering: .acquiring) { action() }
            }
        }
        return {
            wake.isCancelled.store(true, ordering: .releasing)
            cancel()
        }
    }
}
