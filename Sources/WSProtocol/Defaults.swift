// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Pacing

/// The limits and timers that both ends of the protocol share, each with its reason. Lengths that the format itself
/// fixes stand with their types.
package enum ProtocolDefaults {
    // MARK: Messages

    /// The most arrays and objects of a JSON text that stand within one another: what is said here needs three, and
    /// readers that call themselves for each have small stacks.
    static let jsonDepth = 32

    // MARK: WebSockets

    /// The WebSocket subprotocol of control connections.
    package static let subprotocol = "relay.v1"
    /// The most frames that one message may be cut into. Clients send one; a proxy or a library may cut it up, but each
    /// frame costs a turn, and a message of the greatest length in pieces of 4 KiB is 16.
    static let fragments = 16
    /// The most bytes of messages that wait for a peer that does not read, unless the sender sets its own limit: four
    /// of the longest.
    package static let pendingBytes = 256 * 1024
    /// The most bytes that are kept unread of a connection that is held back: what a read or two may have brought by
    /// then.
    package static let heldBytes = 256 * 1024
    /// How long the close handshake may take: a round trip on the worst of lines, with one loss.
    static let closeTimeout = TimeAmount.seconds(5)
    /// How long a connection stays open, unread, after bytes that are no frames: the peer's own close frame cannot be
    /// recognised any more, but closing at once would let a reset overtake ours.
    static let lingerTimeout = TimeAmount.seconds(1)
    /// Seconds from one ping to the next, as `welcome` announces them: below the 60 s after which balancers drop an
    /// idle connection, and below what NATs keep.
    package static let heartbeat = 20
    /// How long after a ping its pong has to be there: with the longest interval, a dead peer is noticed within 45 s.
    package static let heartbeatAnswer = TimeAmount.seconds(20)

    /// Control frames that are taken from a peer: each end pings every 20 s and answers as often, so that one a second
    /// is ten times what is needed, and twenty at once are a minute's behind a stalled network.
    package static let controlFrames = Pace.Limits(perSecond: 1, burst: 20)

    // MARK: Steps

    /// From the challenge to `welcome`: what every handshake step of a relay is given elsewhere (DERP).
    package static let loginTimeout = TimeAmount.seconds(10)
    /// For how long a relay holds the receiver's request until the sender's comes.
    package static let attachTimeout = TimeAmount.seconds(30)
    /// For `delivered`, after the last byte: the receiver may have to hash and flush a large file. The relay and the
    /// sender's client wait for the same time.
    package static let deliveryTimeout = TimeAmount.minutes(10)
}
