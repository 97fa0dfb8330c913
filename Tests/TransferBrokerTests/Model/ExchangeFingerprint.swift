// SPDX-License-Identifier: Apache-2.0

import WSProtocol

@testable import TransferBroker

extension Broker {
    /// A number that differs when anything differs that future events depend on. The order of deadlines that no longer
    /// stand, and how many messages a session has been sent, make no difference.
    var fingerprint: Int {
        var hasher = Hasher()
        hasher.combine(isDraining)
        hasher.combine(
            Self.sum(sessions) { hasher, session, found in
                hasher.combine(session)
                hasher.combine(found.isReceiving)
                hasher.combine(found.offered)
                hasher.combine(found.incoming)
                hasher.combine(found.accepted)
                hasher.combine(found.taken)
            }
        )
        hasher.combine(
            Self.sum(names) { hasher, name, presence in
                hasher.combine(name)
                hasher.combine(presence.sessions)
                hasher.combine(presence.receiving)
                hasher.combine(presence.offers)
            }
        )
        hasher.combine(
            Self.sum(transfers) { hasher, id, transfer in
                hasher.combine(id)
                hasher.combine(transfer.sender)
                hasher.combine(transfer.state)
            }
        )
        hasher.combine(ledger.entries)
        hasher.combine(mints)
        hasher.combine(halves)
        hasher.combine(remotes)
        hasher.combine(remoteTransfers)
        hasher.combine(tally.activeTransfers)
        hasher.combine(tally.guestAccepts)
        hasher.combine(tally.heldBytes)
        hasher.combine(tally.receiving)
        return hasher.finalize()
    }

    private static func sum<Key, Value>(
        _ dictionary: [Key: Value], _ combine: (inout Hasher, Key, Value) -> Void
    ) -> Int {
        dictionary.reduce(0) { sum, entry in
            var hasher = Hasher()
            combine(&hasher, entry.key, entry.value)
            return sum &+ hasher.finalize()
        }
    }
}
