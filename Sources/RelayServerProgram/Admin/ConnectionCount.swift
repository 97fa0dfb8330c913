// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Counts what comes and goes, up to a limit. For any thread.
final class ConnectionCount: Sendable {
    private let count = Mutex(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Counts one in; false, and not counted, when the limit is reached.
    func enter() -> Bool {
        count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
    }

    /// Counts one out that was counted in.
    func leave() { count.withLock { $0 -= 1 } }
}
