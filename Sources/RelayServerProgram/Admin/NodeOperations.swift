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
        var entries = broker.transfers(after: transfer, atMost: count)
        for index in entries.indices {
            entries[index].bytes = await streams.bytesNow(
                of: StreamKey(home: broker.node, transfer: entries[index].id))
        }
        return entries
    }

    /// All about a user.
    func details(of user: User, _ account: UserAccount) -> UserDetails {
        limits.learned(user.name, account.limits)
        return UserDetails(
            name: user.name, key: user.key, state: account.disabled == nil ? .active : .disabled,
            disabled: account.disabled, registered: account.registered, note: account.note,
            sessions: broker.sessionCount(of: user.name),
            bytesToday: traffic.bytesToday(of: user.name), limits: limits.limits(of: user.name),
            ownLimits: account.limits
        )
    }
}

extension StreamTable {
    /// How many bytes have gone through `stream` so far; nil when it is not here.
    func bytesNow(of stream: StreamKey) async -> UInt64? {
        guard let bytes = bytes(of: stream) else { return nil }
        return try? await bytes.get()
    }
}
