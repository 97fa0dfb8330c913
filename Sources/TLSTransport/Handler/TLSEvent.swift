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

/// What the handlers behind `TLSHandler` can ask of it, as outbound user events.
package enum TLSCommand: Hashable, Sendable {
    /// Close the channel at once and without close_notify: the peer must not take a cut for an end. What is written
    /// and has not left yet is dropped.
    case abort
}
