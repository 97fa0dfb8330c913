// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The limits and timers of this module, each with its reason.
package enum RedisDefaults {
    /// The port of `redis://` and `rediss://` when the URL names none: the one IANA has registered.
    package static let port = 6379

    /// The port of a Sentinel when the URL names none: the one IANA has registered.
    package static let sentinelPort = 26_379

    /// How many servers a URL may name: as many Sentinels, or first nodes of a cluster, as anyone has.
    static let endpoints = 16

    /// How many servers of a cluster are remembered: a hundred times what the one slot needs that a relay uses. It
    /// bounds what a server can make a node try.
    static let clusterNodes = 256

    /// How many ranges of slots a map of a cluster may have: as many as there are slots.
    static let clusterRanges = 16_384

    /// How often one server may send this node to another within one attempt. Two are normal while a slot is moved.
    static let redirects = 4

    /// How long a connection to one of several servers may take: a dead one of them must not use up the time in which
    /// service has to be back.
    static let choiceTimeout = TimeAmount.seconds(1)

    /// How long a Sentinel may take to answer, its connection included. All are asked at once, and this is waited for
    /// only when less than half of them answer.
    package static let sentinelTimeout = TimeAmount.seconds(1)

    /// How often the Sentinels are asked whether the master is still the same: a master that they cannot reach, and
    /// this node can, must not be written to for longer.
    package static let sentinelInterval = TimeAmount.seconds(3)

    /// The pause before a command is sent again that a cluster did not run because its slot is on the way to another
    /// server: a slot with ten thousand users takes some 0.2 s.
    static let redirectPause = TimeAmount.milliseconds(50)

    /// How long looking up the name and the TCP connection may take. A Redis belongs to the same site as its node, so
    /// this is many round trips; a node has to know within 2 s that Redis is away.
    package static let connectTimeout = TimeAmount.seconds(2)

    /// How long AUTH, SELECT, INFO and PING may take together, with TLS before them: a frozen Redis accepts a
    /// connection (the kernel does) and then says nothing.
    package static let handshakeTimeout = TimeAmount.seconds(2)

    /// How long a command may take when the caller does not say: requests across nodes must fail within 2 s.
    package static let commandTimeout = TimeAmount.seconds(2)

    /// How long Redis may take to confirm all subscriptions.
    package static let subscribeTimeout = TimeAmount.seconds(2)

    /// The shortest pause before another attempt to connect: what keeps a storm of resets from becoming a busy loop.
    package static let firstPause = TimeAmount.milliseconds(100)

    /// The longest pause. Full service has to be back 5 s after Redis is: this, a SYN that is sent again after 1 s,
    /// and the handshake have to fit into that. After Redis was emptied, names that no node has seen wait for some 4 s
    /// more, in which nodes write theirs again.
    package static let longestPause = TimeAmount.seconds(3)

    /// How long a connection has to stand before the pauses begin again from the shortest. Without it, a Redis that
    /// accepts and then cuts would be tried ten times a second for ever.
    package static let stableAfter = TimeAmount.seconds(5)

    /// The shortest time between two warnings about one connection: a storm of resets must not fill the log.
    static let warningInterval = TimeAmount.seconds(10)

    /// How often a subscription proves that it is alive.
    package static let heartbeatInterval = TimeAmount.seconds(5)

    /// How long the proof may take: with the interval, a dead subscription is noticed within 10 s.
    package static let heartbeatTimeout = TimeAmount.seconds(5)

    /// How long to wait before a heartbeat that could not be published is published again.
    package static let heartbeatRetry = TimeAmount.milliseconds(500)

    /// TCP_USER_TIMEOUT: how long sent bytes may go without an answer of the other kernel. Below the heartbeat's time;
    /// commands have deadlines of their own.
    static let userTimeout = TimeAmount.seconds(8)

    /// TCP keep-alive in seconds: the first probe after this much silence, and the time between two probes.
    static let keepAliveInterval = 5

    /// How many probes may go without an answer.
    static let keepAliveProbes: Int = 3

    /// The most bytes in one bulk string of a reply. The largest values a node reads are lists of sessions, some KiB.
    static let bulkLength = 1 << 20

    /// The most bytes in one simple string or error: Redis sends short ones; scripts' errors quote a line or two.
    static let lineLength = 16 << 10

    /// The most elements in one reply, those of inner arrays included.
    static let replyElements = 65_536

    /// The most bytes of text in one reply, over all its elements.
    static let replyLength = 4 << 20

    /// How deep arrays may nest. hiredis itself ends at 7 in version 0.14 and nowhere in 1.0; the replies a node asks
    /// for are 2 deep.
    static let replyDepth = 7

    /// The most bytes in one command, over all its arguments: as much as a reply may bring.
    static let commandLength = 1 << 20

    /// The most arguments of one command.
    static let commandArguments = 8192

    /// How many commands may wait for their replies. At 2 s each this is far beyond what a node needs, and the
    /// memory for it stays small.
    static let commandsInFlight = 1024

    /// How many bytes of commands may wait for their replies.
    static let bytesInFlight = 8 << 20

    /// The largest message of a subscription in bytes; larger ones are dropped and counted. Doorbells are short.
    static let messageLength = 64 << 10

    /// How many characters of Redis' own message an error repeats.
    static let quotedLength = 160
}
