// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The time of day: what is compared with other computers, and kept beyond the end of a process.
enum WallClock {
    /// Milliseconds since 1970 (UTC); 0 where the clock stands before that.
    static func milliseconds() -> UInt64 {
        var time = timespec()
        guard unsafe clock_gettime(CLOCK_REALTIME, &time) == 0, time.tv_sec >= 0 else { return 0 }
        return UInt64(time.tv_sec) * 1_000 + UInt64(time.tv_nsec) / 1_000_000
    }
}
