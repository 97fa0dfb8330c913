// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import Synchronization

/// What all listeners of the process share: the count of what they accept, and what happens when they cannot.
package final class AcceptWatch: Sendable {
    private struct State {
        var counts = AcceptCounts()
        /// What has been turned away since the log last said so.
        var turnedAway = 0
        var silentUntil: [String: NIODeadline] = [:]
    }

    private let state = Mutex(State())
    private let spare = SpareDescriptor()
    private let descriptors = OpenDescriptors()
    private let limit: Int
    private let logger: Logger
    private let clock: @Sendable () -> NIODeadline

    /// - Parameter limit: how many descriptors the process may have.
    package init(
        limit: Int, logger: Logger, clock: @escaping @Sendable () -> NIODeadline = { .now() }
    ) {
        self.limit = limit
        self.logger = logger
        self.clock = clock
    }

    /// What has come to the listeners so far.
    package var counts: AcceptCounts { state.withLock { $0.counts } }

    /// Descriptors that are open now, and how many may be; nil when the system does not say.
    package var openDescriptors: (now: Int, limit: Int)? {
        descriptors.count.map { ($0, ProcessLimits.descriptors ?? limit) }
    }

    /// A connection was accepted.
    package func accepted() { state.withLock { $0.counts.accepted &+= 1 } }

    /// A connection could not be accepted at `listener`, which must not block; -1 when that is not a socket.
    /// - Returns: whether the listener has to rest.
    package func failed(_ fault: AcceptFault, at listener: CInt) -> Bool {
        var count = 0
        if fault.remedy == .turnAway {
            count = spare.turnAway(at: listener, atMost: SystemDefaults.turnedAwayAtOnce)
        }
        state.withLock { state in
            state.counts.failed[fault, default: 0] &+= 1
            state.turnedAway &+= count
        }
        switch fault {
        case .descriptors:
            ifDue(fault.rawValue) { figures in
                logger.warning(
                    """
                    out of file descriptors: new connections are closed at once; raise the limit (LimitNOFILE= of the \
                    service, or ulimit -n)
                    """,
                    metadata: figures
                )
            }
        case .machineDescriptors:
            ifDue(fault.rawValue) { figures in
                logger.warning(
                    """
                    this machine is out of file descriptors: new connections are closed at once; raise fs.file-max, or find \
                    the process that has so many
                    """,
                    metadata: figures
                )
            }
        case .memory:
            ifDue(fault.rawValue) { _ in logger.warning("the kernel has no memory for new connections: they wait") }
        case .aborted: break
        }
        return fault.remedy != .goOn && count == 0
    }

    /// A connection was refused, or closed unheard, because the descriptors run short.
    package func ranShort() {
        ifDue("short") { figures in
            logger.warning(
                """
                file descriptors run short: new work is refused; raise the limit (LimitNOFILE= of the service, or \
                ulimit -n)
                """,
                metadata: figures
            )
        }
    }

    /// A listener has failed for good.
    func listenerLost(_ error: any Error) {
        state.withLock { $0.counts.listenersLost &+= 1 }
        logger.critical(
            "a listener has failed and accepts nothing any more: start the relay again",
            metadata: [LogKeys.error: "\(error)"]
        )
    }

    /// Calls `say`, unless that was done under the same key a moment ago: the log would be full of it, just when
    /// something else is needed there.
    private func ifDue(_ key: String, _ say: (Logger.Metadata) -> Void) {
        let now = clock()
        let turnedAway: Int? = state.withLock { state in
            if let until = state.silentUntil[key], now < until { return nil }
            state.silentUntil[key] = now + SystemDefaults.acceptLogInterval
            defer { state.turnedAway = 0 }
            return state.turnedAway
        }
        guard let turnedAway else { return }
        let open = openDescriptors
        say([
            LogKeys.descriptors: "\(open.map { min($0.now, $0.limit) } ?? limit)",
            LogKeys.limit: "\(open?.limit ?? limit)",
            LogKeys.count: "\(turnedAway)",
        ])
    }
}

/// What has come to the listeners of this process since it began.
package struct AcceptCounts: Hashable, Sendable {
    /// Connections that were accepted, at all listeners.
    package var accepted: UInt64 = 0
    /// How often that failed, and why.
    package var failed: [AcceptFault: UInt64] = [:]
    /// Listeners that have failed for good.
    package var listenersLost: UInt64 = 0

    package init(accepted: UInt64 = 0, failed: [AcceptFault: UInt64] = [:], listenersLost: UInt64 = 0) {
        self.accepted = accepted
        self.failed = failed
        self.listenersLost = listenersLost
    }
}
