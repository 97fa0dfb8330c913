// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The limits and timers that both ends of the protocol share, each with its reason. Lengths that the format itself fixes
/// stand with their types.
package enum ProtocolDefaults {
    // MARK: Messages

    /// Messages a minute that a client may keep up, and that may come at once: OWASP's figures for a WebSocket. Section 1.2
    /// of the protocol promises both.
    package static let messagesPerMinute: Int64 = 100
    package static let messageBurst: Int64 = 30
    /// Refused messages in a row after which a client is closed: that is a loop, not a person.
    package static let refusedMessages = 100

    /// The most arrays and objects of a JSON text that stand within one another: what is said here needs three, and readers
    /// that call themselves for each have small stacks.
    package static let jsonDepth = 32

    // MARK: WebSockets

    /// The most frames that one message may be cut into. Clients send one; a proxy or a library may cut it up, but each
    /// frame costs a turn, and a message of the greatest length in pieces of 4 KiB is 16.
    package static let fragments = 16
    /// The most bytes of messages that wait for a peer who does not read, unless the one who sends knows better: four of
    /// the longest.
    package static let pendingBytes = 256 * 1024
    /// How long the close handshake may take: a round trip on the worst of lines, with one loss.
    package static let closeTimeout = TimeAmount.seconds(5)
    /// How long a connection stays open, unread, after bytes that are no frames: so that a reset does not overtake the
    /// close frame.
    package static let lingerTimeout = TimeAmount.seconds(1)
    /// Seconds from one ping to the next, as `welcome` announces them: below the 60 s after which balancers drop an idle
    /// connection, and below what NATs keep.
    package static let heartbeat = 20
    /// How long after a ping its pong has to be there: with the longest interval, a dead peer is noticed within 45 s.
    package static let heartbeatAnswer = TimeAmount.seconds(20)

    // MARK: Steps

    /// From the challenge to `welcome`: what every handshake step of a relay is given elsewhere (DERP).
    package static let loginTimeout = TimeAmount.seconds(10)
    /// For the relay's answer to a request: it may ask Redis and another node, with 2 s for each.
    package static let answerTimeout = TimeAmount.seconds(30)
    /// For `delivered`, after the last byte: the receiver may have to hash and flush a large file. The relay and the
    /// sender's client wait for the same time.
    package static let deliveryTimeout = TimeAmount.minutes(10)
    /// For the relay's word on why a stream broke. The relay itself waits half a second for the word of whoever cut it, and
    /// looks at its clock four times a second; that a peer is gone it says at once.
    package static let explanationTimeout = TimeAmount.seconds(2)
}
