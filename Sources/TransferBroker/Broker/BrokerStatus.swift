// SPDX-License-Identifier: Apache-2.0

/// What the broker holds, for `status` and the metrics.
package struct BrokerStatus: Hashable, Sendable, Codable {
    /// Sessions that are logged in.
    package var sessions = 0
    /// Different names among them.
    package var names = 0
    /// Sessions that want to be rung.
    package var receiving = 0
    /// Offers that no receiver has accepted: waiting and ringing.
    package var waiting = 0
    package var ringing = 0
    /// Transfers that a receiver has accepted, by their state.
    package var accepted = 0
    package var parked = 0
    package var streaming = 0
    /// All bytes are through, `delivered` is awaited.
    package var streamed = 0
    package var unclaimedTokens = 0
    /// Ended since the start.
    package var delivered: UInt64 = 0
    package var failed: UInt64 = 0
    /// Bytes of streams that have ended since the start.
    package var bytesRelayed: UInt64 = 0
    /// Reports of progress that were not passed on.
    package var progressDropped: UInt64 = 0
    package var isDraining = false

    package init(
        sessions: Int = 0, names: Int = 0, receiving: Int = 0, waiting: Int = 0, ringing: Int = 0, accepted: Int = 0,
        parked: Int = 0, streaming: Int = 0, streamed: Int = 0, unclaimedTokens: Int = 0, delivered: UInt64 = 0,
        failed: UInt64 = 0, bytesRelayed: UInt64 = 0, progressDropped: UInt64 = 0, isDraining: Bool = false
    ) {
        self.sessions = sessions
        self.names = names
        self.receiving = receiving
        self.waiting = waiting
        self.ringing = ringing
        self.accepted = accepted
        self.parked = parked
        self.streaming = streaming
        self.streamed = streamed
        self.unclaimedTokens = unclaimedTokens
        self.delivered = delivered
        self.failed = failed
        self.bytesRelayed = bytesRelayed
        self.progressDropped = progressDropped
        self.isDraining = isDraining
    }
}
