// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Pacing
import ServerSystem
import StreamRelay
import Synchronization
import TransferBroker

/// Decides which connections are accepted, by what is there already: descriptors and memory in use, and unauthenticated
/// connections of one address.
package final class Admission: Sendable {
    /// What happens to a connection that was just accepted.
    enum Verdict: Hashable, Sendable {
        case admitted
        /// Hear the request and answer that the relay is full.
        case refused
        /// There is no room even for that.
        case closed
    }

    /// What is refused because the process is about to go.
    package enum Stop: Hashable, Sendable {
        case none
        /// There is another process for clients: who comes in all the same is told to go there.
        case leaving
        /// New sessions are refused.
        case draining
    }

    private struct State {
        var connections = 0
        /// Connections that have shown neither a login nor a token.
        var newcomers = 0
        /// Connections to and from other nodes.
        var nodeConnections = 0
        /// Descriptors that the process has for itself.
        var reserved = 0
        var pressure = MemoryPressure.none
        /// The connections of each address that have shown neither a login nor a token.
        var unauthenticated: [String: Int] = [:]
        /// All connections of each address.
        var addresses: [String: Int] = [:]
        /// How fast they follow one another. One that shows a login or a token gives back what it took, so that this
        /// may be far below what a client may do that is known.
        var newcomerPace: PaceTable<String>
        var stop = Stop.none
        var emptyCallbacks: [@Sendable () -> Void] = []
    }

    private let state: Mutex<State>
    private let refuseAbove: Int
    private let closeAbove: Int
    /// Connections of one address that have shown neither a login nor a token; nil when nothing is limited by address.
    private let unauthenticatedPerAddress: Replaceable<Int?>
    private let reports: LimitReports

    /// - Parameters:
    ///   - descriptorLimit: how many descriptors the process may have.
    ///   - unauthenticatedPerAddress: connections of one address that have shown neither a login nor a token; nil when
    ///     nothing is limited by address.
    ///   - unauthenticatedPace: how fast those may follow one another.
    ///   - reports: who is told of limits that are met.
    package init(
        descriptorLimit: Int, unauthenticatedPerAddress: Int?, unauthenticatedPace: Pace.Limits, reports: LimitReports
    ) {
        // Without overflow, for any limit the system may name.
        let (hundreds, rest) = descriptorLimit.quotientAndRemainder(dividingBy: 100)
        func share(_ percent: Int) -> Int { hundreds * percent + rest * percent / 100 }
        refuseAbove = max(1, share(Defaults.Connection.refuseAbovePercent))
        closeAbove = max(2, share(Defaults.Connection.closeAbovePercent))
        self.unauthenticatedPerAddress = Replaceable(unauthenticatedPerAddress)
        state = Mutex(
            State(
                newcomerPace: PaceTable(
                    limits: unauthenticatedPace, longest: .zero, capacity: Defaults.Connection.busyAddresses)))
        self.reports = reports
    }

    /// Takes another limit of each address from now on: who is there stays.
    package func apply(_ limit: AddressLimit) {
        unauthenticatedPerAddress.replace(with: limit.unauthenticated)
        state.withLock { $0.newcomerPace.limits = limit.unauthenticatedPace }
    }

    /// Connections of clients that are open now.
    package var connections: Int { state.withLock { $0.connections } }

    /// Whether any of them has shown neither a login nor a token.
    package var hasNewcomers: Bool { state.withLock { $0.newcomers > 0 } }

    /// Counts a connection with another node until it closes. None is ever refused: a transfer that was let in is
    /// behind it.
    package func count(_ channel: any Channel) {
        state.withLock { $0.nodeConnections += 1 }
        channel.closeFuture.whenComplete { _ in self.state.withLock { $0.nodeConnections -= 1 } }
    }

    /// Counts `descriptors` as used that are no connections: event loops, listeners, files.
    package func reserve(_ descriptors: Int) { state.withLock { $0.reserved = descriptors } }

    /// Whether so many descriptors are in use that new work is refused.
    var isShortOfDescriptors: Bool { state.withLock { inUse($0) > refuseAbove } }

    private func inUse(_ state: State) -> Int { state.connections + state.nodeConnections + state.reserved }

    /// The process is as near to the end of its memory as `pressure` says.
    package func memoryChanged(_ pressure: MemoryPressure) { state.withLock { $0.pressure = pressure } }

    /// What is refused from now on.
    package func stop(_ stop: Stop) { state.withLock { $0.stop = stop } }

    /// Whether the process is about to go.
    var isStopping: Bool { state.withLock { $0.stop != .none } }

    /// Whether new sessions are refused.
    var refusesSessions: Bool { state.withLock { $0.stop == .draining } }

    /// Counts a connection from `address` in; the lease counts it out again. Nil when it is not known yet: the lease
    /// is told when it is.
    func connectionOpened(
        from address: SocketAddress?, now: NIODeadline = .now()
    ) -> (Verdict, ConnectionLease) {
        let client = address?.ipAddress
        let key = share(of: address, client)
        let (verdict, limit) = state.withLock { state -> (Verdict, Limit?) in
            state.connections += 1
            state.newcomers += 1
            if let key { countUnauthenticated(of: key, &state) }
            let inUse = inUse(state)
            if inUse > closeAbove { return (.closed, Limit(.descriptors, of: .node)) }
            if let key, !hasRoom(for: key, &state, now: now) {
                return (.closed, Limit(.unauthenticated, of: .address))
            }
            if inUse > refuseAbove { return (.refused, Limit(.descriptors, of: .node)) }
            if let key, hasMoreThanIsFree(key, state) { return (.refused, Limit(.descriptors, of: .address)) }
            return state.pressure == .critical ? (.refused, Limit(.memory, of: .node)) : (.admitted, nil)
        }
        if let limit { reports.met(limit, address: key) }
        return (verdict, ConnectionLease(admission: self, client: client, share: key))
    }

    /// Counts a connection from `address`, which is not authenticated yet.
    private func countUnauthenticated(of address: String, _ state: inout State) {
        state.unauthenticated[address, default: 0] += 1
        state.addresses[address, default: 0] += 1
    }

    /// Whether an address has more connections than are free, which is a dynamic threshold: the first gets half of
    /// them, and each further one half of what is left, so that no few of them leave nothing.
    private func hasMoreThanIsFree(_ address: String, _ state: State) -> Bool {
        // Both count the connection that it is asked about.
        state.addresses[address, default: 0] > refuseAbove - inUse(state) + 1
    }

    /// Whether an address may have one more unauthenticated connection, which is counted already.
    private func hasRoom(for address: String, _ state: inout State, now: NIODeadline) -> Bool {
        guard let most = unauthenticatedPerAddress.current else { return true }
        guard state.unauthenticated[address, default: 0] <= most else { return false }
        return state.newcomerPace.take(1, for: address, now: now)
    }

    /// Calls `callback` once, as soon as no connection is open; at once when there is none.
    package func whenEmpty(_ callback: @escaping @Sendable () -> Void) {
        let isEmpty = state.withLock { state in
            if state.connections > 0 { state.emptyCallbacks.append(callback) }
            return state.connections == 0
        }
        if isEmpty { callback() }
    }

    /// - Parameter address: what its client's address was counted under.
    fileprivate func connectionClosed(of address: String?) {
        let callbacks = state.withLock { state -> [@Sendable () -> Void] in
            state.connections -= 1
            if let address { Self.countDown(address, &state.addresses) }
            guard state.connections == 0 else { return [] }
            defer { state.emptyCallbacks = [] }
            return state.emptyCallbacks
        }
        for callback in callbacks { callback() }
    }

    /// Counts an unauthenticated connection in; false when its address has too many.
    fileprivate func unauthenticatedOpened(_ address: String, now: NIODeadline) -> Bool {
        let limit = state.withLock { state -> Limit? in
            countUnauthenticated(of: address, &state)
            guard hasRoom(for: address, &state, now: now) else { return Limit(.unauthenticated, of: .address) }
            return hasMoreThanIsFree(address, state) ? Limit(.descriptors, of: .address) : nil
        }
        if let limit { reports.met(limit, address: address) }
        return limit == nil
    }

    /// - Parameters:
    ///   - address: what its client's address was counted under, if it was.
    ///   - isIdentified: whether it has shown a login or a token.
    fileprivate func unauthenticatedEnded(_ address: String?, isIdentified: Bool) {
        state.withLock { state in
            state.newcomers -= 1
            guard let address else { return }
            Self.countDown(address, &state.unauthenticated)
            if isIdentified { state.newcomerPace.giveBack(1, to: address) }
        }
    }

    private static func countDown(_ address: String, _ counts: inout [String: Int]) {
        guard let count = counts[address] else { return }
        counts[address] = count > 1 ? count - 1 : nil
    }

    /// Whose limits a client shares: those of its address or, with IPv6, of the 64 bits that its network is known by,
    /// as one machine has all the addresses behind them. Nil when nothing is limited by address.
    ///
    /// - Parameter text: the address as text.
    fileprivate func share(of address: SocketAddress?, _ text: String?) -> String? {
        guard unauthenticatedPerAddress.current != nil, let text else { return nil }
        guard let bytes = address.flatMap(AddressRange.bytes), bytes.count == 16 else { return text }
        return AddressRange.network(of: bytes, bits: 64)
    }
}

/// One connection's place in the count.
final class ConnectionLease: CountedConnection {
    private struct State {
        var holders = 1
        var isUnauthenticated = true
        /// The client's address.
        var client: String?
        /// What the client's address is counted under.
        var share: String?
        /// What the client's address is counted under for as long as the connection counts as unauthenticated.
        var counted: String?
    }

    private let admission: Admission
    private let state: Mutex<State>

    fileprivate init(admission: Admission, client: String?, share: String?) {
        self.admission = admission
        state = Mutex(State(client: client, share: share, counted: share))
    }

    /// The client's address; nil as long as a balancer has not said it.
    package var client: String? { state.withLock { $0.client } }

    /// The client's address, with whose limits the client shares.
    package var address: ClientAddress {
        state.withLock { ClientAddress(text: $0.client ?? "unknown", share: $0.share) }
    }

    /// A balancer has said whose the connection is.
    /// - Returns: false when that address has too many unauthenticated connections: the connection has to go.
    package func belongs(to address: SocketAddress?, now: NIODeadline = .now()) -> Bool {
        let client = address?.ipAddress
        let key = admission.share(of: address, client)
        let isNew = state.withLock { state in
            guard state.isUnauthenticated, state.counted == nil else { return false }
            (state.client, state.share, state.counted) = (client, key, key)
            return true
        }
        guard isNew, let key else { return true }
        return admission.unauthenticatedOpened(key, now: now)
    }

    /// The connection has shown a token or has logged in: limits of its session or its transfer hold from here on.
    package func identified() { unauthenticatedEnded(isIdentified: true) }

    private func unauthenticatedEnded(isIdentified: Bool) {
        let (isFirst, counted) = state.withLock { state in
            defer { (state.isUnauthenticated, state.counted) = (false, nil) }
            return (state.isUnauthenticated, state.counted)
        }
        if isFirst { admission.unauthenticatedEnded(counted, isIdentified: isIdentified) }
    }

    /// One more channel carries the connection.
    package func hold() { state.withLock { $0.holders += 1 } }

    /// A channel that carried the connection has closed.
    package func drop() {
        let (isLast, share) = state.withLock { state in
            state.holders -= 1
            return (state.holders == 0, state.share)
        }
        guard isLast else { return }
        unauthenticatedEnded(isIdentified: false)
        admission.connectionClosed(of: share)
    }
}

/// Where a client is.
package struct ClientAddress: Hashable, Sendable {
    /// Its address, for the log.
    package let text: String
    /// The address, or the network, whose limits it shares with all other clients there; nil when there are none.
    package let share: String?
}
