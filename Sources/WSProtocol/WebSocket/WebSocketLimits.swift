// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Pacing

/// How much one end of a WebSocket takes from the other and keeps for it, where that differs between connections.
package struct WebSocketLimits: Hashable, Sendable {
    /// The most bytes of messages that wait for a peer that does not read.
    package var pendingBytes: Int
    /// The control frames that are taken.
    package var controlFrames: Pace.Limits

    /// The protocol's own limits, unless told otherwise.
    package init(
        pendingBytes: Int = ProtocolDefaults.pendingBytes, controlFrames: Pace.Limits = ProtocolDefaults.controlFrames
    ) {
        self.pendingBytes = pendingBytes
        self.controlFrames = controlFrames
    }
}

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

/// Which end of a WebSocket connection this is (RFC 6455, section 5.1: clients mask, servers must not).
package enum WebSocketRole: Hashable, Sendable, CaseIterable {
    case server, client
}
