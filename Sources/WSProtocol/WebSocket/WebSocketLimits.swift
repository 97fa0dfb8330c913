// SPDX-License-Identifier: Apache-2.0

package import NIOCore

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
