// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import StreamRelay
import TransferBroker
import WSProtocol

/// What operators see and do of this node's sessions and transfers, and of the limits that are in force on it.
struct NodeOperations: Sendable {
    let broker: BrokerService
    let streams: StreamTable
    let limits: LimitControl
    let traffic: TrafficLedger

    /// What is laid down about `name` has changed.
    func accountChanged(_ name: PeerName, _ account: UserAccount) {
        limits.learned(name, account.limits)
        if account.disabled != nil { broker.nameDisabled(name) }
    }

    /// A page of transfers, with what has gone through their streams.
    func transfers(after transfer: TransferID?, atMost count: Int) async -> [TransferEntry] {
        var bytes: [TransferID: UInt64] = [:]
        for (stream, count) in streams.progress() { bytes[stream.transfer] = try? await count.get() }
        return broker.transfers(after: transfer, atMost: count).map { [bytes] entry in
            var entry = entry
            entry.bytes = bytes[entry.id]
            return entry
        }
    }

    /// All about a user.
    func details(of user: User, _ account: UserAccount) -> UserDetails {
        limits.learned(user.name, account.limits)
        let sessions = broker.sessions(after: 0, atMost: .max).count { $0.name == user.name }
        return UserDetails(
            name: user.name, key: user.key, state: account.disabled == nil ? .active : .disabled,
            disabled: account.disabled, registered: account.registered, note: account.note, sessions: sessions,
            bytesToday: traffic.bytesToday(of: user.name), limits: limits.limits(of: user.name),
            ownLimits: account.limits
        )
    }
}
