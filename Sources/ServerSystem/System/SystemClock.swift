// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore

/// The system's clocks.
package enum SystemClock {
    /// How far the calendar clock is ahead of the time since the machine has started, its sleep included: the same at
    /// all times unless the calendar clock is set. Nil when the system does not say.
    package static var offset: TimeAmount? {
        guard let calendar = nanoseconds(CLOCK_REALTIME), let running = nanoseconds(CLOCK_BOOTTIME) else { return nil }
        return .nanoseconds(calendar - running)
    }

    private static func nanoseconds(_ clock: clockid_t) -> Int64? {
        var time = timespec()
        guard unsafe clock_gettime(clock, &time) == 0 else { return nil }
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
