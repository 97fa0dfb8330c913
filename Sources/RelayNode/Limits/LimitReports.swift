// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import ServerSystem
package import StreamRelay
import Synchronization
package import TransferBroker
package import WSProtocol

/// Counts the limits that are met, and says so in the log: each of them at once, and after that what came together
/// every ``Defaults/LimitLog/reportInterval``. For any thread.
package final class LimitReports: Sendable {
    /// What the metrics show.
    package struct Counts: Hashable, Sendable {
        /// How often each limit was met.
        package var met: [Limit: UInt64] = [:]
        /// How long messages have waited, in nanoseconds.
        package var heldBack: UInt64 = 0
        /// Requests on control connections that were answered with an error, by its code; logins among them.
        package var errors: [FailureCode: UInt64] = [:]
        /// Control connections that the relay closed, by the code.
        package var closes: [WebSocketCloseCode: UInt64] = [:]
        /// Requests that were refused with an HTTP status.
        package var statuses: [HTTPStatus: UInt64] = [:]
        /// Reports of progress that came too often to be looked at.
        package var progressDropped: UInt64 = 0

        package init(
            met: [Limit: UInt64] = [:], heldBack: UInt64 = 0, errors: [FailureCode: UInt64] = [:],
            closes: [WebSocketCloseCode: UInt64] = [:], statuses: [HTTPStatus: UInt64] = [:],
            progressDropped: UInt64 = 0
        ) {
            self.met = met
            self.heldBack = heldBack
            self.errors = errors
            self.closes = closes
            self.statuses = statuses
            self.progressDropped = progressDropped
        }
    }

    private struct State {
        var counts = Counts()
        /// When each limit may be logged again, and how often it was met since it was.
        var logs: [Limit: (next: NIODeadline, unsaid: UInt64)] = [:]
    }

    private let state = Mutex(State())
    private let hasWarned = Atomic(false)
    private let logger: Logger

    package init(logger: Logger) { self.logger = logger }

    /// All of it, of one moment.
    package var counts: Counts { state.withLock { $0.counts } }

    /// `limit` was met by a client.
    ///
    /// - Parameters:
    ///   - name: whose session it is, if it is one.
    ///   - address: what the client's address is counted under.
    package func met(_ limit: Limit, name: PeerName? = nil, address: String? = nil, now: NIODeadline = .now()) {
        let count = state.withLock { state -> UInt64? in
            state.counts.met[limit, default: 0] &+= 1
            var log = state.logs[limit] ?? (next: now, unsaid: 0)
            defer { state.logs[limit] = log }
            log.unsaid += 1
            guard now >= log.next else { return nil }
            defer { log = (next: now + Defaults.LimitLog.reportInterval, unsaid: 0) }
            return log.unsaid
        }
        if limit.scope == .address, let address { warn(of: address) }
        guard let count else { return }
        var metadata: Logger.Metadata = [
            LogKeys.limit: "\(limit.subject.rawValue)", LogKeys.scope: "\(limit.scope.rawValue)",
            LogKeys.count: "\(count)",
        ]
        if let name { metadata[LogKeys.name] = "\(name)" }
        if let address { metadata[LogKeys.remote] = "\(address)" }
        logger.notice("a limit was met", metadata: metadata)
    }

    /// Says once that all clients may come from one address.
    private func warn(of address: String) {
        let isLocal = address.hasPrefix("127.") || address == "0:0:0:0::/64" || address.hasPrefix("::ffff:127.")
        guard isLocal, !hasWarned.exchange(true, ordering: .relaxed) else { return }
        logger.warning(
            """
            an address of this machine met a limit: if a balancer is there, let it send a PROXY header and set --proxy-protocol, \
            or set --trusted-proxy, so that each client is counted by its own address; else --address-limit off
            """,
            metadata: [LogKeys.remote: "\(address)"]
        )
    }

    /// A request on a control connection was answered with an error.
    package func refused(_ code: FailureCode) { state.withLock { $0.counts.errors[code, default: 0] &+= 1 } }

    /// The relay closes a control connection.
    package func closed(_ code: WebSocketCloseCode) { state.withLock { $0.counts.closes[code, default: 0] &+= 1 } }

    /// An HTTP request was refused.
    package func refused(_ status: HTTPStatus) { state.withLock { $0.counts.statuses[status, default: 0] &+= 1 } }

    /// A report of progress came too often.
    func progressDropped() { state.withLock { $0.counts.progressDropped &+= 1 } }

    /// A message waits for `time`, because of `limit`.
    package func heldBack(
        for time: TimeAmount, by limit: Limit, name: PeerName?, address: String?, now: NIODeadline
    ) {
        state.withLock { $0.counts.heldBack &+= UInt64(clamping: time.nanoseconds) }
        met(limit, name: name, address: address, now: now)
    }
}
