// SPDX-License-Identifier: Apache-2.0

/// What the exchange holds, for `status` and the metrics.
struct ExchangeStatus: Hashable, Sendable, Codable {
    /// Sessions that are logged in.
    var sessions = 0
    /// Different names among them.
    var names = 0
    /// Sessions that want to be rung.
    var receiving = 0
    /// Offers that nobody has accepted: waiting and ringing.
    var waiting = 0
    var ringing = 0
    /// Transfers that somebody has accepted, by what they are at.
    var accepted = 0
    var parked = 0
    var streaming = 0
    /// All bytes are through, `delivered` is awaited.
    var streamed = 0
    var unclaimedTokens = 0
    /// Ended since the start.
    var delivered: UInt64 = 0
    var failed: UInt64 = 0
    /// Bytes of streams that have ended since the start.
    var bytesRelayed: UInt64 = 0
    /// Reports of progress that were not passed on.
    var progressDropped: UInt64 = 0
    var isDraining = false
}
