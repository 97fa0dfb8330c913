// SPDX-License-Identifier: Apache-2.0

/// What the broker holds, for `status` and the metrics.
package struct BrokerStatus: Hashable, Sendable, Codable {
    /// Sessions that are logged in.
    package var sessions = 0
    /// Different names among them.
    package var names = 0
    /// Sessions that want to be rung.
    package var receiving = 0
    /// Sessions that want to hear requests, and requests that may be answered.
    package var sharing = 0
    package var requests = 0
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
}
