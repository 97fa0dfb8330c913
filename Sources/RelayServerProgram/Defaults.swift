// SPDX-License-Identifier: Apache-2.0

import NIOCore
import ServerSystem
import TransferBroker

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
