// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Pacing
import TransferBroker
import WSProtocol

// MARK: - Links between nodes

extension Defaults {
    /// Connections from node to node.
    enum Link {
        /// A node that was not reached for this long is lost: clients that wait for it are told within 5 s of the cut.
        static let loss = TimeAmount.seconds(4)
        /// TCP connection and TLS handshake with another node, and then upgrade and `welcome`: nodes are near each
        /// other, and two attempts have to fit into the time above.
        static let dial = TimeAmount.milliseconds(1500)
        static let greeting = TimeAmount.milliseconds(1500)
        /// How many nodes are called at the start, to see whether they are of this node's authority: enough to meet one
        /// that lives.
        static let firstCalls = 8
        /// The pauses between attempts: a listener that is being put back is found at once, a node that is away costs
        /// nothing.
        static let shortestPause = TimeAmount.milliseconds(50)
        static let longestPause = TimeAmount.seconds(1)
        /// A node that is frozen is noticed within the sum of both.
        static let heartbeat = TimeAmount.seconds(1)
        static let heartbeatAnswer = TimeAmount.seconds(2)
        /// Control frames that are taken from another node: it pings each second and answers as often, so that this is
        /// ten times what is needed, and what a node has missed that was frozen for a minute.
        static let controlFrames = Pace.Limits(perSecond: 20, burst: 120)
        /// Messages that wait for another node's acknowledgement: seconds of a busy node's work. Past either, that node
        /// is stuck.
        static let unackedMessages = 4096
        static let unackedBytes = 16 * 1024 * 1024
        /// Bytes that wait in a connection for a node that does not read: all of the above, sent again at once, with
        /// frames.
        static let pendingBytes = unackedBytes + unackedMessages * 16
        /// Nodes known at once. Links are for tens of nodes; a directory that names more is wrong.
        static let nodes = 1024
        /// How long it is known which of a node's associations are over: longer than any process is held up that goes
        /// on afterwards as if nothing had been.
        static let memory = TimeAmount.minutes(10)
        /// Connections to the node listener that have not shown a certificate and a request yet: many times the number
        /// of nodes that can restart at once.
        static let unauthenticated = 256
        /// The same warning about the same address is logged once in this time, for so many addresses.
        static let warningInterval = TimeAmount.minutes(1)
        static let warnings = 256
        /// Bytes of the head that answers an upgrade: twenty times a node's.
        static let upgradeHead = 4 * 1024
    }
}

// MARK: - What operators ask of other nodes

extension Defaults {
    /// One question of an operator to another node, by way of the one that was asked.
    enum Inquiry {
        /// For an answer, with the look for the node's address, which takes 2 s while Redis is silent, and the
        /// connection: an operator who asks three nodes waits for a silent one about as long as for a slow page.
        static let deadline = TimeAmount.seconds(5)
        /// Bytes of an answer: a reply of the admin socket, and a head.
        static let answer = 1024 * 1024 + 4 * 1024
    }
}

// MARK: - What Redis holds of a cluster

extension Defaults {
    /// Presence, routes, notifications, users and ticket keys in Redis.
    enum Routing {
        /// How often a node renews what it has there, and reads by itself what a lost notification would have told it.
        /// After Redis was emptied, everything is back when all nodes have done so once: well within 5 s.
        static let renewal = TimeAmount.seconds(3)
        /// How long what it has there lives without that: five renewals, so that four may be lost.
        static let life = TimeAmount.seconds(15)
        /// The life of the epoch and of the set of nodes. They matter only while a node lives; an hour of an
        /// unreachable Redis does not change them.
        static let longLife = TimeAmount.hours(1)
        /// How long a start waits for another process with the same id to be gone: its presence's life and a bit.
        static let claim = TimeAmount.seconds(16)
        /// How often it reads that one's presence meanwhile.
        static let claimLookup = TimeAmount.seconds(1)
        /// Requests across nodes have to be answered, or refused with a reason, within 2 s.
        static let deadline = TimeAmount.seconds(2)
        /// How often an unknown token is looked up while nodes write their keys again.
        static let secondLookup = TimeAmount.milliseconds(250)
        /// Keys that one call of a script writes: below a millisecond of Redis' one thread.
        static let keysPerBatch = 500
        /// How often one login or registration begins again because the user's record was changed meanwhile: as many
        /// sessions of one user log in within milliseconds of each other.
        static let changesOfUser = 8
        /// Users that one call of a script writes: 200 KB.
        static let usersPerBatch = 100
        /// Seconds that the count of a day's bytes is kept: until the day is over everywhere.
        static let trafficLife = 2 * 24 * 60 * 60
        /// Names that one call of a script looks up on all nodes.
        static let namesPerLookup = 100
        /// Names that wait to be looked up. What does not fit is looked up at the next renewal.
        static let waitingLookups = 65_536
        /// Users in memory for when Redis is away: some 60 MB, most of it prekeys.
        static let cachedUsers = 32_768
        /// Names with sessions here whose users are read with each renewal: one removed while a notification was lost
        /// is out within a minute among 10,000, for a millisecond of Redis' one thread each time.
        static let usersPerRenewal = 500
        /// How long an answer to a notification may take, and how often one is sent in all; then the other node's own
        /// lookup has to do.
        static let notificationPatience = TimeAmount.seconds(1)
        static let notificationAttempts = 3
        /// Messages on their way to Redis above which no notification is sent, and none is answered: a quarter and half
        /// of the commands there may be, since any client of Redis can make nodes answer.
        static let notificationsInFlight = 512
        static let answersInFlight = 256
        /// How often notifications are checked for being overdue.
        static let notificationSweep = TimeAmount.milliseconds(250)
        /// Notifications that wait for an answer.
        static let unansweredNotifications = 4096
        /// Notifications that are known to have been heard, so that one that is sent again is not reported again.
        static let rememberedNotifications = 1024
        /// How often a problem that lasts is logged.
        static let warningInterval = TimeAmount.minutes(1)
        /// How often ticket keys are read without a notification.
        static let ticketLookup = TimeAmount.minutes(1)
        /// The life of ticket keys in Redis: more than three generations of 12 h, so that they end with their use.
        static let ticketLife = TimeAmount.hours(48)
        /// How long nodes may take, after Redis was emptied, to write everything again: until the next renewal, and
        /// then this for its commands.
        static let writingAgain = TimeAmount.seconds(1)
        static let settling = renewal + writingAgain
        /// Bytes of a notification: four times the longest.
        static let notificationLength = 1024
        /// Bytes of a node's presence that are read: four times what the longest address and version need.
        static let presenceLength = 2048
        /// Bytes of a user's record that are read: what the longest needs, and a quarter more.
        static let userLength = 2560
        /// Bytes of the cluster's sealed ticket keys that are read: three generations take 390.
        static let sealedTicketsLength = 1024
        /// Seconds that a ticket key may be from the future by Redis' clock: what a failover to a replica may set it
        /// back.
        static let ticketDrift: Int64 = 60
        /// The least bytes of a cluster's secret: as many as the key that is made from it.
        static let secretLength = 32
        /// The most bytes of the secret's file.
        static let secretFileSize = 4096
    }
}
