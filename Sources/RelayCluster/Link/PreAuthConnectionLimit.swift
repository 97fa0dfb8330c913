// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Counts the connections of a listener that have not been authenticated yet.
final class PreAuthConnectionLimit: Sendable {
    private let count = Mutex(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Counts one in; nil when there are as many as there may be.
    func admit() -> UnauthenticatedLease? {
        let isAdmitted = count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
        return isAdmitted ? UnauthenticatedLease(self) : nil
    }

    fileprivate func leave() { count.withLock { $0 -= 1 } }
}

/// One connection that is counted.
final class UnauthenticatedLease: Sendable {
    private let count: PreAuthConnectionLimit
    private let isCounted = Mutex(true)

    fileprivate init(_ count: PreAuthConnectionLimit) { self.count = count }

    /// The other end is known now, or the connection is gone.
    func identified() {
        let wasCounted = isCounted.withLock { isCounted in
            defer { isCounted = false }
            return isCounted
        }
        if wasCounted { count.leave() }
    }
}
