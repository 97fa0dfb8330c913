// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

extension Defaults {
    /// The head of a request, and the framing of its body.
    package enum Request {
        /// The most bytes of a whole head: what browsers and proxies add fits many times, and each connection may hold
        /// as much before the relay knows whose it is.
        static let headBytes = 16 * 1024
        /// The most bytes of the request line, and of one field: as nginx and Apache have it.
        static let lineBytes = 8 * 1024
        /// The most fields: Apache's limit; browsers send some twenty.
        package static let fields = 100
        /// The most bytes of one chunk's extensions. The relay uses none of them: they are read and dropped.
        static let chunkExtensionBytes = 256
        /// The most bytes of a body's trailer section, which is read and dropped: as one field of the head.
        static let trailerBytes = 8 * 1024
        /// The most bytes of a Host field: the longest name, and a port with room to spare.
        static let hostBytes = 262
        /// After an early answer the rest of an upload is read and dropped, because closing with unread bytes makes the
        /// kernel send a reset that eats the answer: as long as nginx lingers.
        static let lingerTotal = TimeAmount.seconds(30)
        static let lingerIdle = TimeAmount.seconds(5)
        /// A malformed request may have more bytes on their way; they are dropped for a moment only.
        static let lingerMalformed = TimeAmount.milliseconds(200)
        /// Seconds a client is told to wait when the relay is full or draining.
        static let retryAfter = 5
    }

    /// The two halves of a transfer.
    enum Stream {
        /// After this much of a stream its receiver must have taken some of it, as the kernel holds less
        /// (`unsentBytes`): only then are reads larger than `receiveBytes`, and may the kernel hold more.
        static let provenBytes: UInt64 = 4 * 1024 * 1024
        /// The first read of a stream: NIO keeps the first buffer of a channel for as long as the channel lives.
        static let firstReceiveBytes = 4 * 1024
        /// Chunks of fewer bytes than this are gathered before they go on, up to so many: each write costs the
        /// receiver's end some 30 bytes and a call of OpenSSL, which is nothing beside 4 KiB and ten times as much as
        /// one byte.
        static let gatherBelow = 4 * 1024
        static let gatherBytes = 16 * 1024
        /// At least 1 KiB/s on average, in any time of this length, from a sender that is not held back.
        static let progressWindow = TimeAmount.seconds(30)
        static let progressMinimumBytes: UInt64 = 30 * 1024
        /// A receiver that takes nothing for this long is not coming back (nginx's send timeout).
        static let receiverStall = TimeAmount.seconds(60)
        /// Content of so many bytes goes to the receiver's kernel at once, while the rest of what was read is still to
        /// be encrypted: a whole read in one piece is a burst that a kernel which paces (BBR) spreads by timers, each
        /// an interrupt.
        static let flushBytes = 64 * 1024
        /// No acknowledgement of anything in flight for this long: the receiver's network is gone, and with the time
        /// until the next look at the clock it is noticed within 15 s, as everywhere else
        /// (`Connection.tcpUserTimeout`).
        static let receiverSilence = TimeAmount.seconds(14)
        /// What the kernel may hold unsent for a receiver (`SystemDefaults.unsentBytes`) that has proved that it takes
        /// what it gets (`provenBytes`): each turn may bring half of it. Linux' own limit for a socket is as large.
        static let provenUnsentBytes = 4 * 1024 * 1024
        /// What a sender may have on its way to the relay until the receiver has proved that (`provenBytes`): a quarter
        /// of those bytes, which a sender on a long line reaches two round trips before them.
        static let unprovenWindow = 1024 * 1024
        /// What it may have from then on. Linux lets a sender have 4 MiB on its way, so that more than those would make
        /// no line faster; half as much again keeps reads large (`TLSDefaults.sharedReceiveLength`): with 4 MiB the
        /// relay needed 3 % more processor time per byte. Beyond that it would only be held here for a receiver that is
        /// slow, on each connection of the way, and sent again when the transfer breaks.
        static let provenWindow = 6 * 1024 * 1024
        /// When a client is gone, what is on its way in the kernels still goes to the receiver, who goes on behind it:
        /// so much as comes in this time, which a line of 30 Mbit/s needs for what all buffers of a stream hold, and
        /// only while something moves.
        static let drainTotal = TimeAmount.seconds(15)
        static let drainSilence = TimeAmount.seconds(2)
        /// Of a stream that is cut, what was read before may take this long to leave: a receiver that takes bytes at
        /// all has taken a read's worth by then, and one that takes none does not hold the memory.
        static let cutTimeout = TimeAmount.seconds(2)
        /// Bytes of another node's answer, its head and its body together: ten times the longest.
        static let nodeAnswer = 4 * 1024
        /// Another node is reached, and says whether it has the download, in this time: both are a round trip.
        static let nodeTimeout = TimeAmount.seconds(2)
        /// For the word of the transfer's home on how a broken transfer ended: the home waits half a second for the
        /// client that broke it, may be another node, and is lost altogether after some seconds.
        static let verdictTimeout = TimeAmount.seconds(2)
        /// How often a stream looks at the clock.
        static let streamTick = TimeAmount.seconds(1)
        /// The receiver's request waits this long for the sender's.
        static let attachTimeout = Broker.attachTimeout
    }
}
