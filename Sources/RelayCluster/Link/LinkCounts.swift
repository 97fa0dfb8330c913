// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What is known of all links, for callers on other threads.
final class LinkCounts: Sendable {
    private let counts = Mutex(NodeLinkStatus())

    /// How it is now.
    var status: NodeLinkStatus { counts.withLock { $0 } }

    /// Changes it.
    func update(_ change: (inout NodeLinkStatus) -> Void) { counts.withLock { change(&$0) } }
}
