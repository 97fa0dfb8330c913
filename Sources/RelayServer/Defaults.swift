// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Pacing
import WSProtocol

/// Every limit and time-out of the server, each with the reason for its value.
enum Defaults {}

// MARK: - Connections

extension Defaults {
    /// Accepting connections, and what they may cost before anybody knows whose they are.
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
        /// Connections of one address that have not yet shown a token or a login, for each of the users that an address
        /// has room for (`Exchange.usersPerAddress`): as many as a browser opens to one server. Behind a balancer that
        /// says it, it is the address of the balancer's client that counts.
        static let strangersPerUser = 8
        /// The longest PROXY header. The protocol wants 536 bytes at least; the values that balancers add (a certificate's
        /// name, an id) may double that.
        static let proxyHeaderBytes = 2048
        /// Share of the descriptor limit, in percent, above which new work is refused and above which connections are
        /// closed unheard: running transfers need what is left.
        static let refuseAbovePercent = 80
        static let closeAbovePercent = 90
        /// Descriptors that are counted as used beside those open at the start: a registry that is written, the admin
        /// socket's and the metrics' connections, an upload that changes its event loop.
        static let descriptorReserve = 8
        /// A limit of descriptors below this is said at start: it is what systems give to a program that asks for nothing.
        static let fewDescriptors = 1024
        /// A listener rests for this long when nothing can be accepted and nothing turned away: some tens of tries a second
        /// at most, and no client waits for longer than it would for a slow network.
        static let acceptPause = TimeAmount.milliseconds(100)
        /// Connections closed in one turn when there are no descriptors for them: other connections of the loop come first.
        static let turnedAwayAtOnce = 64
        /// The same trouble with accepting is logged once in this time.
        static let acceptLogInterval = TimeAmount.minutes(1)
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

// MARK: - Memory

extension Defaults {
    /// The memory of the whole process. Every queue has a limit of its own; this is for the sum of them.
    enum Memory {
        /// Shares of the budget, in percent, from which new transfers and new connections are refused (Envoy's overload
        /// manager begins to refuse at the same): running transfers need what is left.
        static let refuseTransfersPercent: UInt64 = 95
        static let refuseConnectionsPercent: UInt64 = 98
        /// How often it is looked at: at 10 Gb/s a node cannot fill a twentieth of a useful budget sooner.
        static let interval = TimeAmount.seconds(1)
        /// What the allocator keeps for later is given back when the process has this much more in memory, in percent, than at
        /// its leanest, and this many bytes more: a wave of connections leaves far more behind, and the ups and downs of
        /// transfers less.
        static let trimAbovePercent: UInt64 = 120
        static let trimAboveBytes: UInt64 = 4 * 1024 * 1024
        /// From one time to the next. It walks through the free memory with the allocator's locks held; what is in use all
        /// the time is looked through in vain.
        static let trimInterval = TimeAmount.seconds(20)
        /// The same as long as it gives nothing back.
        static let vainTrimInterval = TimeAmount.seconds(40)
        /// The most bytes of the system's reports about a process.
        static let reportSize = 16 * 1024
    }
}

// MARK: - Requests

extension Defaults {
    /// The head of a request, and the framing of its body.
    enum Request {
        /// The most bytes of a whole head: what browsers and proxies add fits many times, and each connection may hold as
        /// much before anybody knows whose it is.
        static let headBytes = 16 * 1024
        /// The most bytes of the request line, and of one field: as nginx and Apache have it.
        static let lineBytes = 8 * 1024
        /// The most fields: Apache's limit; browsers send some twenty.
        static let fields = 100
        /// The most bytes of one chunk's extensions. They mean nothing to anybody here, and are read and dropped.
        static let chunkExtensionBytes = 256
        /// The most bytes of a body's trailer section, which is read and dropped: as one field of the head.
        static let trailerBytes = 8 * 1024
        /// The most bytes of a Host field: the longest name, and a port with room to spare.
        static let hostBytes = 262
    }
}

// MARK: - Streams

extension Defaults {
    /// The two halves of a transfer.
    enum Stream {
        /// The most bytes taken from a socket at once, unless the kernel has room for more at the receiver's end. This is
        /// also what a transfer holds when its receiver stops.
        static let receiveBytes = 64 * 1024
        /// After this much of a stream its receiver must have taken some of it, as the kernel holds less (`unsentBytes`): only
        /// then are reads larger than `receiveBytes`, and may the kernel hold more.
        static let provenBytes: UInt64 = 4 * 1024 * 1024
        /// The first read of a stream: NIO keeps the first buffer of a channel for as long as the channel lives.
        static let firstReceiveBytes = 4 * 1024
        /// Chunks of fewer bytes than this are gathered before they go on, up to so many: each write costs the receiver's end
        /// some 30 bytes and a call of OpenSSL, which is nothing beside 4 KiB and ten times as much as one byte.
        static let gatherBelow = 4 * 1024
        static let gatherBytes = 16 * 1024
        /// The receiver's request waits this long for the sender's.
        static let attachTimeout = TimeAmount.seconds(30)
        /// At least 1 KiB/s on average, in any time of this length, from a sender that is not held back.
        static let progressWindow = TimeAmount.seconds(30)
        static let progressMinimumBytes: UInt64 = 30 * 1024
        /// A receiver that takes nothing for this long is not coming back (nginx's send timeout).
        static let receiverStall = TimeAmount.seconds(60)
        /// Content of so many bytes goes to the receiver's kernel at once, while the rest of what was read is still to
        /// be encrypted: a whole read in one piece is a burst that a kernel which paces (BBR) spreads by timers, each
        /// an interrupt.
        static let flushBytes = 64 * 1024
        /// No acknowledgement of anything in flight for this long: the receiver's network is gone, and with the time until
        /// the next look at the clock it is noticed within 15 s, as everywhere else (`Connection.tcpUserTimeout`).
        static let receiverSilence = TimeAmount.seconds(14)
        /// Bytes the kernel may hold for a receiver beyond what is on its way: enough to keep any line busy between two
        /// turns of the event loop.
        static let unsentBytes = 512 * 1024
        /// The same once the receiver has proved that it takes what it gets (`provenBytes`): each turn may bring half of it.
        /// Linux' own limit for a socket is as large.
        static let provenUnsentBytes = 4 * 1024 * 1024
        /// Bytes of another node's answer, its head and its body together: ten times the longest.
        static let nodeAnswer = 4 * 1024
        /// Another node is reached, and says whether it has the download, in this time: both are a round trip.
        static let nodeTimeout = TimeAmount.seconds(2)
        /// For the word of the transfer's home on how a broken transfer ended: it waits half a second for that of whoever
        /// broke it, may be another node, and is lost altogether after some seconds.
        static let verdictTimeout = TimeAmount.seconds(2)
        /// How often a stream looks at the clock.
        static let streamTick = TimeAmount.seconds(1)
    }
}

// MARK: - Control connections and transfers

extension Defaults {
    /// Control connections.
    enum Control {
        /// From the challenge to the checked login: what every handshake step of a relay is given elsewhere (DERP).
        static let loginTimeout = ProtocolDefaults.loginTimeout
        /// Seconds between pings, as `welcome` announces them.
        static let heartbeat = ProtocolDefaults.heartbeat
        /// Requests of one connection that wait for the users' registry to answer an earlier one: as many as transfers that
        /// a session may offer. With more, the connection is not read until there is room.
        static let waitingRequests = 64
    }

    /// What waits for clients that do not read. Who meets one of these limits is closed.
    enum Unread {
        /// What one session may leave unread, besides what its connection has taken already (64 KiB, and what the kernel
        /// holds): everything that may come at once to one that offers and accepts as much as it may, several times.
        static let session = SessionOutbox.Limits(messages: 4096, bytes: 4 * 1024 * 1024)
        /// Bytes that all sessions of a user may leave unread together: a few of them may be stuck.
        static let bytesOfUser = 16 * 1024 * 1024
        /// What a message takes besides its payload.
        static let messageBytes = 512
        /// Bytes of messages that a connection is given before it is told to send them.
        static let flushBytes = 16 * 1024
    }

    /// How much clients may say. What is too much waits, and what waits costs nothing.
    enum Messages {
        /// What one user may keep up, and have at once, in units of a short message, on all connections together. A client
        /// that sends 200 small files a second says 200 offers, and its receiver 200 accepts and as many `delivered`, which is
        /// 600 units; and a thousand a second take a twentieth of a core.
        static let user = Pace.Limits(perSecond: 1000, burst: 2000)
        /// Bytes of a message that cost as much as one more message: JSON of that length takes as long to read as the
        /// rest of the work for a short one.
        static let bytesPerUnit = 4 * 1024
        /// What a login costs beyond its message: a TLS handshake went before it, and a signature has to be checked.
        static let loginUnits: Int64 = 10
        /// The longest that a message waits: below any time within which clients expect an answer, or the pong to a ping.
        /// Only hundreds of connections that share a budget which is used up get so far.
        static let longestWait = TimeAmount.seconds(5)
        /// Users, and addresses, that can be told apart while they are busy. Who comes on top of that shares one budget.
        static let busyAtOnce = 65_536
    }

    /// What is said about limits that are met.
    enum Limits {
        /// How often the log speaks of the same limit: often enough to be seen while it lasts, and no flood of its own.
        static let reportInterval = TimeAmount.seconds(10)
    }

    /// Sessions, offers and transfers, as the whole relay holds them.
    enum Exchange {
        /// What one user may hold of the node, with all sessions together.
        static let user = Holding(
            // Control connections: every device a person has, and a script that sends dozens of files at once with one process
            // each.
            sessions: 64,
            // Sixteen programs of theirs that send as many files at once as a session may. Each costs some 2 KiB.
            offers: 1024,
            // As many the other way. Each has one unclaimed token at a time, of which the node holds 64 times as many.
            accepts: 1024,
            // A sixteenth of `heldBytes`: a hundred of the largest payloads, and thousands of usual ones.
            waitingBytes: heldBytes / 16
        )
        /// An address may hold so many times as much: an office behind one NAT has several people who send at the same time. All of
        /// it together is half of what the node holds at most.
        static let usersPerAddress = 8
        /// Transfers one session may have offered, and as many that it may have accepted. A transfer has at most one
        /// unclaimed token at a time (the upload's is minted when the download's has been used), so this bounds the
        /// tokens of a session as well, and no second limit can refuse a transfer half-way.
        ///
        /// Limits of 16 unclaimed tokens for a client and 64 for an address would be met by honest people: a recipient who
        /// takes many small files at once, and an office whose people come from one address.
        static let transfersPerSession = 64
        /// Offers that wait for one name, whoever made them: all are rung when somebody of that name begins to receive. They are
        /// shared with a dynamic threshold (Choudhury and Hahne, 1998): a user, and an address, may have as many as are still
        /// free. However many names one address has, it gets half; what is left halves with each further address, so that it
        /// takes nine that act together to leave nothing.
        static let offersPerRecipient = 256
        /// Bytes of clients' payloads held on the node for offers and accepts: some 1,500 of the largest, and hundreds
        /// of thousands of usual ones. Past it, offers are refused as `unavailable`.
        static let heldBytes = 64 * 1024 * 1024
        /// Unclaimed tokens of the node: 64 sessions' worth of the limit above times 16; each costs some 200 bytes.
        static let unclaimedTokens = 65_536
        /// From minting a token to its use (strelaysrv gives a minute to join).
        static let tokenLifetime = TimeAmount.seconds(60)
        /// The home of a token answers a claim within a millisecond or not at all; the client is told within 2 s.
        static let claimTimeout = TimeAmount.seconds(2)
        /// Claims that wait for other nodes' answers: as many as connections come in 2 s at a rate no node can serve.
        static let openClaims = 16_384
        /// The timers of a transfer's states.
        static let timers = TransferTimers(
            // A person has to see the question and answer it.
            ring: .minutes(10),
            // The receiver's token lives as long.
            claim: tokenLifetime,
            // As long as the receiver's request is held.
            attach: Stream.attachTimeout,
            // As long as the sender's client waits.
            delivery: ProtocolDefaults.deliveryTimeout,
            // The byte path's report is only a thread behind; a stream that is still open after this is stuck.
            straggler: .seconds(30),
            // A message on another connection of the same client is hardly later than the cut it explains; a client
            // that was killed is known by its closed session at once.
            explanation: .milliseconds(500),
            // Four a second are as many as a person can see.
            progress: .milliseconds(250)
        )
        /// How often deadlines are looked at: far below the shortest timer, far above the cost of a look.
        static let sweepInterval = TimeAmount.milliseconds(250)

        /// All of the above in one value.
        static let limits = makeLimits(.standard)

        /// The same with another limit for addresses.
        static func makeLimits(_ addresses: AddressLimit) -> ExchangeLimits {
            ExchangeLimits(
                user: user, address: addresses.holding, transfersPerSession: transfersPerSession,
                offersPerRecipient: offersPerRecipient, heldBytes: heldBytes, unclaimedTokens: unclaimedTokens,
                tokenLifetime: tokenLifetime, timers: timers, heartbeat: Control.heartbeat
            )
        }
    }
}

// MARK: - Users and invitations

extension Defaults {
    /// The users' registry and its invitations.
    enum Users {
        /// Registered names. The registry is kept in memory and rewritten whole at each change: 100,000 names are some
        /// 25 MB of file and a fraction of a second of one thread. Past it, a registration fails as `unavailable`.
        static let maximumUsers = 100_000
        /// Invitations that are neither used nor expired. An operator with more than this has a script gone wrong.
        static let maximumInvitations = 10_000
        /// Bytes of the registry's file that are read at start: double what the two limits above can fill.
        static let maximumFileSize = 64 * 1024 * 1024
        /// Random bytes of an invitation: 128 bits cannot be guessed at any rate of trying.
        static let invitationLength = 16
        /// Seconds an invitation is good for unless the operator says otherwise: time to pass it on, not to lose it.
        static let invitationLifetime: Int64 = 24 * 60 * 60
        /// Seconds an invitation may at most be good for: what is not used within a year is forgotten, not waited for.
        static let maximumInvitationLifetime: Int64 = 366 * 24 * 60 * 60
    }
}

// MARK: - Operations

extension Defaults {
    /// Configuration, start and stop.
    enum Operations {
        /// Bytes of a configuration file: a hundred times what one with every setting needs.
        static let maximumConfigurationSize = 256 * 1024
        /// Seconds that running transfers are given to finish once the relay is told to stop: most do, and service
        /// managers kill after 90 s.
        static let drainTimeout: Int64 = 30
        /// Seconds that connections are given to take their last bytes once the drain is over.
        static let closeTimeout: Int64 = 2
        /// Seconds before the end of a certificate from which the log and `check` say so: a month is what the authorities
        /// that give 90 days tell people to renew in. For one with a short life it is a third of that, if less.
        static let certificateWarning: Int64 = 30 * 24 * 60 * 60
        /// How often the log says so again.
        static let certificateInterval = TimeAmount.hours(24)
        /// Descriptors when the system does not say: what POSIX systems have given for decades.
        static let assumedDescriptors = 1024
    }

    /// Metrics and health.
    enum Metrics {
        /// Where they are served when nobody says: on this machine alone.
        static let address = ListenAddress(host: "127.0.0.1", port: 9180)
        /// For one request and its answer, Redis included: as long as Prometheus waits.
        static let exchangeTimeout = TimeAmount.seconds(10)
        /// Connections at once: a few scrapers and balancers.
        static let maximumConnections = 64
    }

    /// The admin socket.
    enum Admin {
        /// Bytes of a request's line: ten times the longest.
        static let maximumRequest = 4 * 1024
        /// Bytes of a reply's line: a page of users with names of full length takes a quarter of it.
        static let maximumReply = 1024 * 1024
        /// Users in one reply.
        static let usersPerPage = 1000
        /// Seconds for one request and its reply, the disk included, on either side.
        static let exchangeTimeout: Int64 = 30
        /// Connections at once; a person needs one.
        static let maximumConnections = 32
        /// Bytes of a Unix socket's path, without the terminating zero (sun_path on Linux is 108).
        static let maximumSocketPath = 107
    }
}
