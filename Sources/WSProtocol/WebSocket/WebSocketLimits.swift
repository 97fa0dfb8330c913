// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Pacing

/// How much one end of a WebSocket takes from the other, and how long it waits for a close.
package struct WebSocketLimits: Hashable, Sendable {
    /// The longest message in bytes, either way.
    package var messageLength: Int
    /// The most frames that one incoming message may be cut into.
    package var fragments: Int
    /// The most bytes of messages that wait for a peer who does not read.
    package var pendingBytes: Int
    /// The control frames that are taken.
    package var controlFrames: Pace.Limits
    /// How long the close handshake may take (RFC 6455, section 7.1).
    package var closeTimeout: TimeAmount
    /// How long a connection stays open, unread, after bytes that are no frames: the peer's own close frame cannot be
    /// recognised any more, but closing at once would let a reset overtake ours.
    package var lingerTimeout: TimeAmount

    package init(
        messageLength: Int = MessageCodec.maximumLength, fragments: Int = ProtocolDefaults.fragments,
        pendingBytes: Int = ProtocolDefaults.pendingBytes,
        controlFrames: Pace.Limits = ProtocolDefaults.controlFrames,
        closeTimeout: TimeAmount = ProtocolDefaults.closeTimeout,
        lingerTimeout: TimeAmount = ProtocolDefaults.lingerTimeout
    ) {
        self.messageLength = messageLength
        self.fragments = fragments
        self.pendingBytes = pendingBytes
        self.controlFrames = controlFrames
        self.closeTimeout = closeTimeout
        self.lingerTimeout = lingerTimeout
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
