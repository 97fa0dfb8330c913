// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What happened, in its order.
final class EventLog: Sendable {
    private let events = Mutex<[String]>([])

    var all: [String] { events.withLock { $0 } }

    func append(_ event: String) { events.withLock { $0.append(event) } }
}
