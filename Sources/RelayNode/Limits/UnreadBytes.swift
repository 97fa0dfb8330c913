// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TransferBroker
import WSProtocol

/// Bytes of messages that each user's sessions, and each address's, do not read, of all of them together. For any
/// thread.
package final class UnreadBytes: Sendable {
    private struct State {
        var users: [PeerName: Int] = [:]
        var addresses: [String: Int] = [:]
        var limitOfAddress: Int?
    }

    private let state: Mutex<State>
    private let limit: Int

    /// - Parameter limitOfAddress: nil when there are no limits by address.
    package init(limit: Int = Defaults.Unread.bytesOfUser, limitOfAddress: Int? = AddressLimit.standard.unreadBytes) {
        self.limit = limit
        state = Mutex(State(limitOfAddress: limitOfAddress))
    }

    /// Takes another limit of each address from now on: what is unread already stays.
    package func apply(_ limit: AddressLimit) { state.withLock { $0.limitOfAddress = limit.unreadBytes } }

    /// Users and addresses with anything unread.
    package var count: Int { state.withLock { $0.users.count + $0.addresses.count } }

    /// Whether neither `name` nor `address` leaves more than half of what there may be unread.
    func isLessThanHalfFull(of name: PeerName, at address: String?) -> Bool {
        state.withLock { state in
            guard state.users[name] ?? 0 <= limit / 2 else { return false }
            guard let limitOfAddress = state.limitOfAddress, let address else { return true }
            return state.addresses[address] ?? 0 <= limitOfAddress / 2
        }
    }

    /// `name`, at `address`, leaves that many bytes more unread, or less.
    /// - Returns: whose are more than there may be; nil when there may be as many.
    func add(_ bytes: Int, of name: PeerName, at address: String?) -> Limit.Scope? {
        state.withLock { state in
            let ofUser = Self.add(bytes, to: &state.users[name])
            let ofAddress = address.map { Self.add(bytes, to: &state.addresses[$0]) } ?? 0
            if ofUser > limit { return .user }
            return state.limitOfAddress.map { ofAddress > $0 } ?? false ? .address : nil
        }
    }

    private static func add(_ bytes: Int, to entry: inout Int?) -> Int {
        let sum = (entry ?? 0) + bytes
        entry = sum > 0 ? sum : nil
        return sum
    }
}
