// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import WSProtocol

/// Every limit and time-out of the server, each with the reason for its value; the targets above add theirs.
package enum Defaults {}

extension Defaults {
    /// What operators may set limits to.
    package enum Limits {
        /// The most of anything that is counted: as far as a pace reckons.
        package static let mostOfAnything: Int64 = 1_000_000
        /// The least bytes a second: a user's stream moves within any time in which its clients would take it for dead.
        package static let leastRate: Int64 = 64 * 1024
        /// The most bytes, a second or a day: some petabytes, so that no sum overflows.
        package static let mostBytes: Int64 = 1 << 53
        /// A note about an invitation, or a user: what stands on one line.
        package static let noteBytes = 200
    }

    /// Sessions, offers and transfers, as the whole relay holds them.
    package enum Broker {
        /// An address may hold so many times as much: an office behind one NAT has several people who send at the same
        /// time. All of it together is half of what the node holds at most.
        package static let usersPerAddress = 8
        /// Transfers one session may have offered, and as many that it may have accepted. A transfer has at most one
        /// unclaimed token at a time (the upload's is minted when the download's has been used), so this bounds the
        /// tokens of a session as well, and no second limit can refuse a transfer half-way.
        ///
        /// Limits of 16 unclaimed tokens for a client and 64 for an address would be met by honest people: a recipient
        /// who takes many small files at once, and an office whose people come from one address.
        static let transfersPerSession = 64
        /// Messages that a client may send before its login holds: one is needed, a client that errs may try again, and
        /// a client that sends more is not about to log in.
        static let messagesBeforeLogin = 10
        /// How many sessions are told to go elsewhere in a second, where there is time for that: a node can take in
        /// several times as many while it serves the others.
        static let movesPerSecond = 100
        /// Offers that wait for one name, from all senders: all ring when a session of that name begins to receive.
        /// They are shared with a dynamic threshold (Choudhury and Hahne, 1998): a user, and an address, may have as
        /// many as are still free. However many names one address has, it gets half; what is left halves with each
        /// further address, so that it takes nine that act together to leave nothing.
        static let offersPerRecipient = 256
        /// Requests one session may have open: as many as it may have offered or accepted. A client has one open for
        /// each thing that it fetches, and withdraws it when that comes.
        static let requestsPerSession = 64
        /// Requests that are open on the node, with those of other nodes' sessions: 32 addresses with as many as each
        /// may have.
        static let openRequests = 65_536
        /// How long a request may be answered: longer than any sharer takes to find what was asked for, and as long as
        /// a ring waits for its answer. A client asks again long before.
        static let requestLifetime = TimeAmount.minutes(10)
        /// Bytes of clients' payloads held on the node for offers and accepts: some 1,500 of the largest, and hundreds
        /// of thousands of usual ones. Shared with the same threshold: a user, and an address, may have as many as are
        /// still free, so that ten addresses that act together leave room for one more of the largest.
        static let heldBytes = 64 * 1024 * 1024
        /// After a failure, how long an offer between the same names counts as another try: longer than clients wait
        /// between two tries. And for how many pairs that is remembered, each in some 100 bytes.
        static let retryMemory = TimeAmount.minutes(10)
        static let rememberedFailures = 16_384
        /// Unclaimed tokens of the node: 64 sessions' worth of the limit above times 16; each costs some 200 bytes.
        package static let unclaimedTokens = 65_536
        /// From minting a token to its use (strelaysrv gives a minute to join).
        package static let tokenLifetime = TimeAmount.seconds(60)
        /// The receiver's request waits this long for the sender's.
        package static let attachTimeout = ProtocolDefaults.attachTimeout
        /// Seconds between pings, as `welcome` announces them.
        package static let heartbeat = ProtocolDefaults.heartbeat
        /// Characters of a node's own address for clients: the longest host name has 253.
        package static let publicURL = 512
    }
}
