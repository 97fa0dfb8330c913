// SPDX-License-Identifier: Apache-2.0

import Synchronization
import WSProtocol

/// Bytes of messages that each user's sessions do not read, of all of them together. For any thread.
final class UnreadBytes: Sendable {
    private let state = Mutex<[PeerName: Int]>([:])
    private let limit: Int

    init(limit: Int = Defaults.Unread.bytesOfUser) { self.limit = limit }

    /// Users with anything unread.
    var count: Int { state.withLock { $0.count } }

    /// `name` leaves that many bytes more unread, or less.
    /// - Returns: false when it is more than there may be.
    func add(_ bytes: Int, of name: PeerName) -> Bool {
        state.withLock { users in
            let sum = (users[name] ?? 0) + bytes
            users[name] = sum > 0 ? sum : nil
            return sum <= limit
        }
    }
}
