// SPDX-License-Identifier: Apache-2.0

/// What `TLSHandler` tells the handlers behind it, as inbound user events.
package enum TLSEvent: Hashable, Sendable {
    /// The handshake is complete; a client knows that the server is who it should be.
    case handshakeCompleted(TLSHandshakeSummary)
    /// The peer sent close_notify: it has said all it wanted to say.
    case peerClosed
    /// The connection ended without close_notify: something may be missing at the end (RFC 8446, section 6.1).
    case truncated
}

/// Who is told about one session, besides the handlers behind `TLSHandler`.
package struct TLSObserver: Sendable {
    /// Told when the peer sent more messages of TLS's own than may be.
    let limitMet: (@Sendable () -> Void)?
    /// Told once how the handshake ended; not told of a client that has said nothing.
    var handshakeEnded: (@Sendable (TLSHandshakeEnd) -> Void)?

    package init(
        limitMet: (@Sendable () -> Void)? = nil, handshakeEnded: (@Sendable (TLSHandshakeEnd) -> Void)? = nil
    ) {
        self.limitMet = limitMet
        self.handshakeEnded = handshakeEnded
    }
}

/// How a handshake ended.
package enum TLSHandshakeEnd: Hashable, Sendable {
    case complete(TLSHandshakeSummary)
    case failed
}

/// What the handlers behind `TLSHandler` can ask of it, as outbound user events.
package enum TLSCommand: Hashable, Sendable {
    /// Close the channel at once and without close_notify: the peer must not take a cut for an end. What is written
    /// and has not left yet is dropped.
    case abort
}
