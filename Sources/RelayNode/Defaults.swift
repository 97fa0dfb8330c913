// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Pacing
import TransferBroker
import WSProtocol

extension Defaults {
    /// Accepting connections, and what they may cost before the relay knows whose they are.
    package enum Connection {
        /// TLS handshake, then the request's head: enough for any honest client on a bad line, short enough that idle
        /// sockets cannot pile up.
        package static let handshakeTimeout = TimeAmount.seconds(10)
        package static let headTimeout = TimeAmount.seconds(10)
        /// Connections of one address that have not yet shown a token or a login, for each of the users that an address
        /// has room for (`Broker.usersPerAddress`): as many as a browser opens to one server. Behind a balancer that
        /// says it, it is the address of the balancer's client that counts.
        static let unauthenticatedPerUser = 8
        /// Connections that end so, for each of those users. A handshake takes a relay 0.8 ms, so that an address with
        /// all of them has an eighth of a core. A browser that comes for a page stays far below, and a client that logs
        /// in or shows a token does not count.
        package static let unauthenticated = Pace.Limits(perSecond: 20, burst: 50)
        /// Addresses that are known to have used some of that up, at 100 bytes each.
        static let busyAddresses = 16_384
        /// The longest PROXY header. The protocol wants 536 bytes at least; the values that balancers add (a
        /// certificate's name, an id) may double that.
        static let proxyHeaderBytes = 2048
        /// Share of the descriptor limit, in percent, above which new work is refused and above which connections are
        /// closed unheard: running transfers need what is left. Of the first share an address may have as many as are
        /// free.
        static let refuseAbovePercent = 80
        static let closeAbovePercent = 90
        /// Pending connections in the kernel: a reconnect storm after a restart is what it has to hold.
        package static let listenBacklog: Int32 = 4096
        /// Connections that are accepted from one look at the listener to the next: nothing else is done on its loop.
        static let acceptedAtOnce: UInt = 64
        /// From one look at the listener to the next while connections are refused.
        static let floodInterval = TimeAmount.milliseconds(1)
    }

    /// The memory of the whole process. Every queue has a limit of its own; this is for the sum of them.
    enum Memory {
        /// Shares of the budget, in percent, from which new transfers and new connections are refused (Envoy's overload
        /// manager begins to refuse at the same): running transfers need what is left.
        static let refuseTransfersPercent: UInt64 = 95
        static let refuseConnectionsPercent: UInt64 = 98
        /// How often it is looked at: at 10 Gb/s a node cannot fill a twentieth of a useful budget sooner.
        static let interval = TimeAmount.seconds(1)
        /// What the allocator keeps for later is given back when the process has this much more in memory, in percent,
        /// than at its leanest, and this many bytes more: a wave of connections leaves far more behind, and the ups and
        /// downs of transfers less.
        static let trimAbovePercent: UInt64 = 120
        static let trimAboveBytes: UInt64 = 4 * 1024 * 1024
        /// From one time that memory is given back to the next. That walks through the free memory with the allocator's
        /// locks held; what is in use all the time is looked through in vain.
        static let trimInterval = TimeAmount.seconds(20)
        /// From one time to the next, as long as the allocator has nothing to give back.
        static let vainTrimInterval = TimeAmount.seconds(40)
    }

    /// What browsers are shown, and ACME's authorities.
    package enum Site {
        /// Bytes of a path: as long as any that a person links to.
        static let pathBytes = 1024
        /// What is read of a file at once, and so what a client holds that stopped taking it.
        static let blockBytes = 64 * 1024
        /// Files larger than a block that are sent at once: each has a descriptor of its own beside its connection's.
        package static let files = 128
        /// A client that takes no block in this time is not coming back (as `Stream.receiverStall`).
        static let stallTimeout = TimeAmount.seconds(60)
        /// Bytes of a challenge's answer, a token and the digest of a key: under 100; and of the token in its name.
        static let challengeBytes = 4 * 1024
        static let challengeTokenBytes = 128
    }

    /// Control connections.
    package enum Control {
        /// From the challenge to the checked login: what every handshake step of a relay is given elsewhere (DERP).
        static let loginTimeout = ProtocolDefaults.loginTimeout
        /// Requests of one connection that wait for the users' registry to answer an earlier one: as many as transfers
        /// that a session may offer. With more, the connection is not read until there is room.
        static let waitingRequests = 64
        /// What sessions are given to go elsewhere: a client needs a handshake and a login for it, and five seconds
        /// more when it has to try again. What is left of the time that a stop may take is for the transfers.
        package static let moveTime = TimeAmount.seconds(10)
    }

    /// What waits for clients that do not read. A session that meets one of these limits is closed.
    enum Unread {
        /// Bytes that all sessions of a user may leave unread together: a few of them may be stuck.
        static let bytesOfUser = 16 * 1024 * 1024
        /// What a message takes besides its payload.
        static let messageBytes = 512
        /// Bytes of messages that a connection is given before it is told to send them.
        static let flushBytes = 16 * 1024
    }

    /// How much clients may say. What is too much waits, and what waits costs nothing.
    package enum Messages {
        /// What one user may keep up, and have at once, in units of a short message, on all connections together. A
        /// client that sends 200 small files a second says 200 offers, and its receiver 200 accepts and as many
        /// `delivered`, which is 600 units; and a thousand a second take a twentieth of a core.
        package static let user = Pace.Limits(perSecond: perSecond, burst: 2 * perSecond)
        static let perSecond: Int64 = 1000
        /// Of the users that an address has room for, one of so many may say as much as each of them may, at the same
        /// time: all that comes from one address takes less than half a core then, and other clients do not wait twice
        /// as long.
        static let addressShare = 2
        /// Bytes of a message that cost as much as one more message: JSON of that length takes as long to read as the
        /// rest of the work for a short one.
        static let bytesPerUnit = 4 * 1024
        /// Bytes of a note's payload, or of a request's, that cost as much as one more message: nothing but this keeps
        /// two clients from using a control connection for their content. A user's notes move 800 KiB a second, and 1.6
        /// MiB at once, which is less than the other client may leave unread.
        static let noteBytesPerUnit = 1024
        /// What a login costs beyond its message: a TLS handshake went before it, and a signature has to be checked.
        static let loginUnits: Int64 = 10
        /// The longest that a message waits: below any time within which clients expect an answer, or the pong to a
        /// ping. Only hundreds of connections that share a budget which is used up get so far.
        static let longestWait = TimeAmount.seconds(5)
        /// Users, and addresses, that can be told apart while they are busy. More than that share one budget.
        static let busyAtOnce = 65_536
    }

    /// Reports of progress, of one session.
    enum Progress {
        /// Transfers that are told apart: as many as a session may have accepted.
        static let transfers = 64
        /// Reports that may be dropped within ``interval``. A client that reports on each of those transfers twice a
        /// second, as relay-client does on 16 of them, makes 7,680 in a minute, and they may all come at once after a
        /// stall.
        static let mostDropped = 8_000
        static let interval = TimeAmount.minutes(1)
    }

    /// Bytes that users move.
    package enum Traffic {
        /// What may be moved at once after a pause, in seconds of the rate: a stream that waits for nothing is not
        /// slower for being counted.
        static let burst: Int64 = 1
        /// The longest that a stream waits for its rate at a time: far below any time in which its clients would take
        /// it for dead. A stream that is read in pieces of 256 KiB waits 4 s at the least rate there is.
        static let longestWait = TimeAmount.seconds(8)
        /// How often what was moved is written down: that much of a day's count is lost when the process is killed.
        package static let interval = TimeAmount.seconds(5)
        /// How old another node's part of a count may be before it is asked for.
        static let freshness = TimeAmount.seconds(5)
        /// Bytes of the file that is read at start: every name that there may be, several times.
        package static let maximumFileSize = 32 * 1024 * 1024
    }

    /// How event loops and the clock are looked at.
    enum Loops {
        /// Four looks a second at each loop find what lasts, and cost nothing that can be measured.
        static let interval = TimeAmount.milliseconds(250)
        /// How often the calendar clock is compared with the one that is never set.
        static let clockInterval = TimeAmount.seconds(10)
        /// A clock that was set by at least this much was set by hand, or for the first time: time servers correct
        /// less than that without a step.
        static let clockStep = TimeAmount.seconds(1)
    }

    /// What is said about limits that are met.
    package enum LimitLog {
        /// How often the log speaks of the same limit: often enough to be seen while it lasts, and no flood of its own.
        static let reportInterval = TimeAmount.seconds(10)
    }

    /// The users' registry and its invitations.
    package enum Users {
        /// Registered names. The registry is kept in memory and rewritten whole at each change: 100,000 names are some
        /// 25 MB of file and a fraction of a second of one thread. Past it, a registration fails as `unavailable`.
        package static let maximumUsers = 100_000
        /// Names that an address may register within ``newNamesInterval`` without invitations, for each of the users
        /// that it has room for: all of a school come in one day, and one address takes 24 days, not three minutes, to
        /// fill the registry, which is time for its operator to see it.
        static let newNamesPerUser = 512
        static let newNamesInterval = TimeAmount.hours(24)
        /// Invitations that are neither used nor expired. An operator with more than this has a script gone wrong.
        package static let maximumInvitations = 10_000
        /// Bytes of the registry's file that are read at start: double what the two limits above can fill.
        static let maximumFileSize = 64 * 1024 * 1024
        /// Bytes of a prekey's file that are read: twice what one takes.
        static let maximumPrekeySize = 4 * 1024
        /// Random bytes of an invitation: 128 bits cannot be guessed at any rate of trying.
        static let invitationLength = 16
        /// Seconds an invitation may at most be good for: what is not used within a year is forgotten, not waited for.
        package static let maximumInvitationLifetime: Int64 = 366 * 24 * 60 * 60
    }
}

// MARK: - Claims and deadlines

extension Defaults.Broker {
    /// The home of a token answers a claim within a millisecond or not at all; the client is told within 2 s.
    static let claimTimeout = TimeAmount.seconds(2)
    /// Claims that wait for other nodes' answers: as many as connections come in 2 s at a rate no node can serve.
    static let openClaims = 16_384
    /// How often deadlines are looked at: far below the shortest timer, far above the cost of a look.
    static let sweepInterval = TimeAmount.milliseconds(250)
}
