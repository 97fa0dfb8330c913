// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// How often one end pings, and how long it waits for the answer.
package struct WebSocketHeartbeat: Hashable, Sendable {
    /// The time from one ping to the next, before jitter.
    package var interval: TimeAmount
    /// How long after a ping its pong has to be there.
    package var answerWithin: TimeAmount

    /// The protocol's own times, unless told otherwise.
    package init(
        interval: TimeAmount = .seconds(Int64(ProtocolDefaults.heartbeat)),
        answerWithin: TimeAmount = ProtocolDefaults.heartbeatAnswer
    ) {
        self.interval = interval
        self.answerWithin = answerWithin
    }

    /// The interval of one connection.
    ///
    /// - Parameter jitter: -1 to 1, which becomes up to a quarter more or less: connections that were opened together
    ///   drift apart.
    func interval(jitter: Double) -> TimeAmount {
        let share = jitter.isFinite ? min(max(jitter, -1), 1) : 0
        let quarter = interval.nanoseconds / 4
        // The product is at most a quarter of what fits, whatever the interval.
        return .nanoseconds(interval.nanoseconds &+ Int64(Double(quarter) * share))
    }
}
