// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TLSTransport

/// How the handshakes of clients have ended so far. For any thread.
package final class HandshakeCounts: Sendable {
    private let full = Atomic<UInt64>(0)
    private let resumed = Atomic<UInt64>(0)
    private let failed = Atomic<UInt64>(0)

    package init() {}

    /// A handshake has ended.
    func ended(_ end: TLSHandshakeEnd) {
        switch end {
        case .complete(let summary) where summary.isResumed: resumed.wrappingAdd(1, ordering: .relaxed)
        case .complete: full.wrappingAdd(1, ordering: .relaxed)
        case .failed: failed.wrappingAdd(1, ordering: .relaxed)
        }
    }

    package var value: HandshakeFigures {
        HandshakeFigures(
            full: full.load(ordering: .relaxed), resumed: resumed.load(ordering: .relaxed),
            failed: failed.load(ordering: .relaxed))
    }
}

/// The counts of one moment.
package struct HandshakeFigures: Hashable, Sendable {
    package var full: UInt64 = 0
    /// Handshakes that went on with a session of before.
    package var resumed: UInt64 = 0
    package var failed: UInt64 = 0

    package init(full: UInt64 = 0, resumed: UInt64 = 0, failed: UInt64 = 0) {
        self.full = full
        self.resumed = resumed
        self.failed = failed
    }
}
