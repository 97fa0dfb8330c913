// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// Decides who may come in, by what is there already: descriptors in use, and strangers of one address.
final class Admission: Sendable {
    /// What happens to a connection that was just accepted.
    enum Verdict: Hashable, Sendable {
        case admitted
        /// Hear the request and answer that the relay is full.
        case refused
        /// There is no room even for that.
        case closed
    }

    private struct State {
        var connections = 0
        var unidentified: [String: Int] = [:]
        var isDraining = false
        var emptyCallbacks: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())
    private let refuseAbove: Int
    private let closeAbove: Int
    private let unidentifiedPerAddress: Int

    /// - Parameter descriptorLimit: how many descriptors the process may have.
    init(descriptorLimit: Int, unidentifiedPerAddress: Int = Defaults.Connection.unidentifiedPerAddress) {
        refuseAbove = max(1, descriptorLimit / 100 * Defaults.Connection.refuseAbovePercent)
        closeAbove = max(2, descriptorLimit / 100 * Defaults.Connection.closeAbovePercent)
        self.unidentifiedPerAddress = unidentifiedPerAddress
    }

    /// Connections open now.
    var connections: Int { state.withLock { $0.connections } }

    /// From now on new transfers and sessions are refused.
    func beginDrain() { state.withLock { $0.isDraining = true } }

    /// Whether the relay is about to stop.
    var isDraining: Bool { state.withLock { $0.isDraining } }

    /// Counts a connection from `address` in; the ticket counts it out again.
    func connectionOpened(from address: SocketAddress?) -> (Verdict, ConnectionTicket) {
        let key = Self.limitedAddress(address)
        let verdict: Verdict = state.withLock { state in
            state.connections += 1
            if let key { state.unidentified[key, default: 0] += 1 }
            if state.connections > closeAbove { return .closed }
            if let key, state.unidentified[key, default: 0] > unidentifiedPerAddress { return .closed }
            return state.connections > refuseAbove ? .refused : .admitted
        }
        return (verdict, ConnectionTicket(admission: self, address: key))
    }

    /// Calls `callback` once, as soon as no connection is open; at once when there is none.
    func whenEmpty(_ callback: @escaping @Sendable () -> Void) {
        let isEmpty = state.withLock { state in
            if state.connections > 0 { state.emptyCallbacks.append(callback) }
            return state.connections == 0
        }
        if isEmpty { callback() }
    }

    fileprivate func connectionClosed() {
        let callbacks = state.withLock { state -> [@Sendable () -> Void] in
            state.connections -= 1
            guard state.connections == 0 else { return [] }
            defer { state.emptyCallbacks = [] }
            return state.emptyCallbacks
        }
        for callback in callbacks { callback() }
    }

    fileprivate func strangerGone(_ address: String) {
        state.withLock { state in
            guard let count = state.unidentified[address] else { return }
            state.unidentified[address] = count > 1 ? count - 1 : nil
        }
    }

    /// The address a stranger is counted under; nil for those that are not.
    private static func limitedAddress(_ address: SocketAddress?) -> String? {
        guard let text = address?.ipAddress, !text.hasPrefix("127."), text != "::1", !text.hasPrefix("::ffff:127.")
        else { return nil }
        return text
    }
}

/// One connection's place in the count. It outlives the channel when the connection moves to another event loop.
final class ConnectionTicket: Sendable {
    private struct State {
        var holders = 1
        var isStranger = true
    }

    private let admission: Admission
    private let address: String?
    private let state = Mutex(State())

    fileprivate init(admission: Admission, address: String?) {
        self.admission = admission
        self.address = address
    }

    /// The connection has shown a token or has become a control connection, which has rules of its own.
    func identified() {
        let wasStranger = state.withLock { state in
            defer { state.isStranger = false }
            return state.isStranger
        }
        if wasStranger, let address { admission.strangerGone(address) }
    }

    /// One more channel carries the connection.
    func hold() { state.withLock { $0.holders += 1 } }

    /// A channel that carried the connection has closed.
    func drop() {
        let isLast = state.withLock { state in
            state.holders -= 1
            return state.holders == 0
        }
        guard isLast else { return }
        identified()
        admission.connectionClosed()
    }
}
