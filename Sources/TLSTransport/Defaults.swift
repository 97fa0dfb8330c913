// SPDX-License-Identifier: Apache-2.0

package import NIOCore
internal import Pacing

/// The limits and sizes of this module, each with its reason.
package enum TLSDefaults {
    /// How long a handshake may take, from the connection to its last message. DERP gives 10 s for each step; an honest
    /// peer on a bad mobile link needs 2 or 3 s.
    package static let handshakeTimeout = TimeAmount.seconds(10)

    /// How long `close` waits for what was written to leave for the kernel, before it cuts. A peer that stopped reading
    /// must not hold a closed connection for ever.
    package static let closeTimeout = TimeAmount.seconds(10)

    /// The size in bytes of OpenSSL's own read buffer: one full record (RFC 8446, section 5.2) with its header and
    /// alignment is 16,713, so each read callback brings a whole record and there is no second one for its header.
    static let readBufferLength = 17 * 1024

    /// The most plaintext in bytes that one record carries (RFC 8446, section 5.1).
    static let recordLength = 16 * 1024

    /// The most plaintext in bytes that is passed on at a time: what a socket gives at once. A record at a time cost
    /// 3 % more processor time per byte; more than this is memory that a stalled connection would hold for nothing.
    static let pieceLength = 64 * 1024

    /// The most bytes of ciphertext that one read brings into a shared buffer. Each wakes both ends and makes the
    /// kernel acknowledge: of all processor time per byte, 1 MiB saves 15 % against 64 KiB, and 2 MiB another 7 %.
    /// A power of two, as buffers round up to one.
    package static let sharedReceiveLength = 2 * 1024 * 1024

    /// As `pieceLength`, for connections that share their buffers: 7 full records, whose ciphertext fits
    /// `sharedPieceCapacity`.
    static let sharedPieceLength = 7 * recordLength

    /// The size in bytes of a shared piece of ciphertext. A power of two, as buffers round up to one.
    static let sharedPieceCapacity = 128 * 1024

    /// How many pieces of ciphertext are kept for one event loop. Each leaves before the next is made, so that one or
    /// two are in use, and more only while channels cannot send at once.
    static let sharedPieces = 8

    /// Writes of fewer bytes than this get memory of just their size instead of a shared piece. Many small writes may
    /// wait in a channel before it is full, but only one of this size: the channel is full then.
    static let sharedPieceMinimum = 64 * 1024

    /// The room in bytes to read into, at a time, on a connection that has little to read.
    static let smallReadSpace = 1024

    /// More than what a record adds to its plaintext, in bytes: header 5, explicit nonce 8 (TLS 1.2), content type 1,
    /// tag 16.
    static let recordOverhead = 32

    /// The most ciphertext in bytes that is kept back until `flush`; beyond it, it goes to the channel, which counts
    /// it.
    static let gatherLimit = 128 * 1024

    /// The most plaintext in bytes that is kept while the handshake runs.
    static let earlyWriteLimit = 256 * 1024

    /// The messages of TLS's own that are taken on one connection (RFC 8446, section 4.6.3). The burst is for a
    /// handshake, with tickets and certificates; a new key each 2^24 records comes to one in minutes at the fastest.
    static let messages = Pace.Limits(perSecond: 1, burst: 30)

    /// How many messages of TLS's own (answers to key updates) may be waiting for a peer that reads nothing.
    static let unreadAnswerLimit = 32

    /// How many servers a client's session cache knows.
    static let cachedServers = 64

    /// How many sessions the cache holds for one server: each ticket of TLS 1.3 is used once (RFC 8446, C.4), and a
    /// client may open as many streams at once as it sends small files. A session is some kilobytes.
    static let cachedSessionsPerServer = 32

    /// How many tickets a server gives out with each full handshake: one for each of two connections that follow.
    static let ticketsPerHandshake = 2

    /// Generations of ticket keys: with a new one each 12 h, a client that was away for a night still resumes.
    static let ticketGenerations = 3

    /// Seconds after which a new key seals tickets. A thief of a key can read what its tickets were used for, so it
    /// must not live for long; HAProxy's and nginx' guides say 12 h.
    package static let ticketRotation: Int64 = 12 * 60 * 60

    /// How many entries of OpenSSL's error queue are kept as text: the first ones say what happened.
    static let errorEntries = 3

    /// How many names of a peer's certificate are looked at: a node has one, or a few.
    static let peerNames = 16

    /// How many names of a certificate of one's own are looked at: public authorities put in a hundred at most.
    static let certificateNames = 256

    /// How many certificates of a file are looked at: more than any chain has, or any system's bundle of authorities.
    static let certificatesPerFile = 1024

    /// How many certificates a file has that may be a chain: servers are shown with three or four. Each is compared
    /// with those before it.
    package static let chainLength = 16
}
