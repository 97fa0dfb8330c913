// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import TransferBroker

/// How many names each address has registered within a day, where registering takes no invitation: one address must not
/// fill the registry, which all share. Of this process alone: a start forgets it, and each node of a cluster counts for
/// itself. For any thread.
package final class NewNames: Sendable {
    private struct State {
        var counts: [String: Int] = [:]
        /// When all of them begin again.
        var end: NIODeadline?
        var limit: Int?
    }

    private let state: Mutex<State>

    /// - Parameter limit: names of one address; nil when there are no limits by address.
    package init(limit: Int? = AddressLimit.standard.newNames) { state = Mutex(State(limit: limit)) }

    /// Takes another limit of each address from now on.
    package func apply(_ limit: AddressLimit) { state.withLock { $0.limit = limit.newNames } }

    /// `address` registers one more. False when it has as many as it may.
    func take(_ address: String?, now: NIODeadline) -> Bool {
        guard let address else { return true }
        return state.withLock { state in
            guard let limit = state.limit else { return true }
            if state.end.map({ $0 <= now }) ?? true {
                (state.counts, state.end) = ([:], now + Defaults.Users.newNamesInterval)
            }
            guard state.counts[address, default: 0] < limit else { return false }
            state.counts[address, default: 0] += 1
            return true
        }
    }

    /// Nothing came of one that was taken.
    func giveBack(_ address: String?) {
        guard let address else { return }
        state.withLock { state in
            guard let count = state.counts[address] else { return }
            state.counts[address] = count > 1 ? count - 1 : nil
        }
    }
}
