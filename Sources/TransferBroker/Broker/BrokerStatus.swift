// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

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
    /// How many transfers have failed, by the code; together they are ``failed``.
    package var failures: [FailureCode: UInt64] = [:]
    /// Offers that were taken since the start, and those of them that came soon after a failure between the same names.
    package var offered: UInt64 = 0
    package var offeredAgain: UInt64 = 0
    /// From the offer to the receiver's accept, people's thinking included.
    package var answerTimes = Histogram(.spans)
    /// From the accept to the moment at which both halves are there.
    package var pairTimes = Histogram(.waits)
    /// From the accept to `delivered`.
    package var deliveryTimes = Histogram(.spans)
    /// Reports of progress that were not passed on.
    package var progressDropped: UInt64 = 0
    package var isDraining = false
}
