// SPDX-License-Identifier: Apache-2.0

import NIOCore

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
