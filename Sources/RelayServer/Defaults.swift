// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Every limit and time-out of the server, each with the reason for its value.
enum Defaults {}

// MARK: - Connections

extension Defaults {
    enum Connection {
        /// TLS handshake, then the request's head: enough for any honest client on a bad line, short enough that idle
        /// sockets cannot pile up.
        static let handshakeTimeout = TimeAmount.seconds(10)
        static let headTimeout = TimeAmount.seconds(10)
        /// After an early answer the rest of an upload is read and dropped, because closing with unread bytes makes the
        /// kernel send a reset that eats the answer: as long as nginx lingers.
        static let lingerTotal = TimeAmount.seconds(30)
        static let lingerIdle = TimeAmount.seconds(5)
        /// A malformed request may have more bytes on their way; they are dropped for a moment only.
        static let lingerMalformed = TimeAmount.milliseconds(200)
        /// Connections of one address that have not yet shown a token or a login. Loopback addresses are exempt: that is
        /// where a balancer on the same machine comes from.
        static let unidentifiedPerAddress = 64
        /// Share of the descriptor limit, in percent, above which new work is refused and above which connections are
        /// closed unheard: running transfers need what is left.
        static let refuseAbovePercent = 80
        static let closeAbovePercent = 90
        /// Seconds a client is told to wait when the relay is full or draining.
        static let retryAfter = 5
        /// Pending connections in the kernel: a reconnect storm after a restart is what it has to hold.
        static let listenBacklog: Int32 = 4096
        /// A peer that acknowledges nothing for this long is gone (the value DERP uses).
        static let tcpUserTimeout = TimeAmount.seconds(15)
        /// Keepalive probes find a sender that vanished while it owed us bytes: 5 s of silence, then one probe each 5 s.
        static let keepaliveIdle: Int = 5
        static let keepaliveInterval: Int = 5
        static let keepaliveProbes: Int = 3
    }
}

// MARK: - Streams

extension Defaults {
    enum Stream {
        /// The most bytes taken from a socket at once. More was no faster: the data falls out of the processor's cache.
        static let receiveBytes = 64 * 1024
        /// The receiver's request waits this long for the sender's.
        static let attachTimeout = TimeAmount.seconds(30)
        /// At least 1 KiB/s on average from a sender that is not held back.
        static let progressWindow = TimeAmount.seconds(30)
        static let progressMinimumBytes: UInt64 = 30 * 1024
        /// A receiver that takes nothing for this long is not coming back (nginx's send timeout).
        static let receiverStall = TimeAmount.seconds(60)
        /// No acknowledgement of anything in flight for this long: the receiver's network is gone.
        static let receiverSilence = TimeAmount.seconds(15)
        /// How often a stream looks at the clock.
        static let streamTick = TimeAmount.seconds(5)
    }
}
