// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import ServerSystem
import TransferBroker

extension Defaults {
    /// Configuration, start and stop.
    enum Operations {
        /// The configuration of the package's service.
        static let configuration = "/etc/relay/server.json"
        /// Bytes of a configuration file: a hundred times what one with every setting needs.
        static let maximumConfigurationSize = 256 * 1024
        /// Seconds that running transfers are given to finish once the relay is told to stop: most do, and service
        /// managers kill after 90 s.
        static let drainTimeout: Int64 = 30
        /// Seconds that connections are given to take their last bytes once the drain is over.
        static let closeTimeout: Int64 = 2
        /// Seconds before the end of a certificate from which the log and `check` say so: a month is what the
        /// authorities that give 90 days tell people to renew in. For one with a short life it is a third of that, if
        /// less.
        static let certificateWarning: Int64 = 30 * 24 * 60 * 60
        /// How often the log says so again.
        static let certificateInterval = TimeAmount.hours(24)
        /// Descriptors that are counted as used beside those open at the start: a registry that is written, the admin
        /// socket's and the metrics' connections, an upload that changes its event loop.
        static let descriptorReserve = 8
        /// A limit of descriptors below this is said at start: it is what systems give to a program that asks for
        /// nothing.
        static let fewDescriptors = 1024
        /// Seconds an invitation is good for unless the operator says otherwise: time to pass it on, not to lose it.
        static let invitationLifetime: Int64 = 24 * 60 * 60
    }

    /// The process as a service of the system.
    enum Service {
        /// Bytes of what a new process tells about its start: one error message.
        static let maximumReport = 16 * 1024
    }

    /// A process that takes another one's place.
    enum Handover {
        /// For a message that the other process has ready.
        static let exchangeTimeout = TimeAmount.seconds(5)
        /// For a start up to the point at which only the users' registry and the listeners are left: certificates are
        /// read, nothing is waited for.
        static let prepareTimeout = TimeAmount.seconds(30)
        /// How long a moment is waited for at which no token is unclaimed, while all goes on: several times as long as
        /// two clients take to connect; and the same while no new one is handed out.
        static let quietWait = TimeAmount.seconds(5)
        static let quietWaitHeld = TimeAmount.seconds(3)
        /// How long those who are just coming in have to get through: four round trips in a country, and less than
        /// passes between two questions of a balancer that asks often.
        static let newcomersWait = TimeAmount.milliseconds(100)
        static let quietStep = TimeAmount.milliseconds(5)
        /// The sum of the three, and nearly as much again for a machine that is busy.
        static let claimTimeout = TimeAmount.seconds(16)
        /// Names in one message: some 7 KiB, of the 16 that a line may have.
        static let namesAtOnce = 100
        /// How long names of the old process count as there while none of their sessions has come: as long as it gives
        /// them, and a moment for those that it closes then and that connect again.
        static let arrivalTime = Defaults.Control.moveTime + .seconds(5)
        /// For what is left of a start. Clients wait in the kernel's queue meanwhile.
        static let serveTimeout = TimeAmount.seconds(10)
        /// Seconds a start has that a person waits for: below the time for an answer of the admin socket.
        static let startTimeout: Int64 = 25
        /// Seconds in which the answer to that person is written.
        static let answerTimeout = 2
        /// How long running transfers may keep a process that has been replaced: longer than nearly all take, and less
        /// than two upgrades are apart. What runs then is cut and goes on from where it was at the new process.
        static let longestStay = TimeAmount.hours(6)
    }

    /// Metrics and health.
    enum Metrics {
        /// Where they are served by default: on this machine alone.
        static let address = ListenAddress(host: "127.0.0.1", port: 9180)
        /// For one request and its answer, Redis included: as long as Prometheus waits.
        static let exchangeTimeout = TimeAmount.seconds(10)
        /// Connections at once: a few scrapers and balancers.
        static let maximumConnections = 64
    }

    /// The admin socket.
    enum Admin {
        /// Bytes of a request's line: twice the longest, a part of a copy of the registry.
        static let maximumRequest = 256 * 1024
        /// Users and invitations in one part of a copy: each takes half a KiB at most.
        static let recordsPerPart = 200
        /// Invitations that one command makes: each is a request of its own.
        static let mostInvitations = 1000
        /// Bytes of a copy that are read: what as many users and invitations fill as there may be.
        static let maximumBackup = 128 * 1024 * 1024
        /// Bytes of a reply's line: twice what a page of users with names and notes of full length takes.
        static let maximumReply = 1024 * 1024
        /// Users in one reply.
        static let usersPerPage = 1000
        /// Transfers, and sessions, in a reply of `top`: more than any screen shows.
        static let mostInTop = 200
        /// Transfers, and sessions, that `top` shows where no terminal says how many there is room for.
        static let usualInTop = 20
        /// How often `top` asks again: what `top` of the system does is slower, and an operator waits for it.
        static let topInterval = TimeAmount.seconds(1)
        /// Seconds for one request and its reply, the disk included, on either side.
        static let exchangeTimeout: Int64 = 30
        /// Connections at once; a person needs one.
        static let maximumConnections = 32
        /// Connections that wait to be accepted.
        static let backlog: CInt = 32
        /// Bytes of a Unix socket's path, without the terminating zero (sun_path on Linux is 108).
        static let maximumSocketPath = 107
    }
}
