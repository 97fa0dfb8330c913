// SPDX-License-Identifier: Apache-2.0

import RedisTransport
import TransferBroker
import WSProtocol

/// What Redis says about one name.
struct UserStanding: Hashable, Sendable {
    /// The record, as far as it is read; empty when there is none.
    var record: String
    var finding: UserFinding

    /// What ``UserScripts/read`` replies about `names`, and the epoch it goes with; nil when it is not of that form.
    static func read(
        _ reply: RESPValue, _ names: [PeerName], _ records: UserRecords
    ) -> (epoch: Epoch?, standings: [UserStanding])? {
        guard let parts = reply.elements, parts.count == 2, let epoch = parts[0].text, let found = parts[1].elements,
            found.count == 2 * names.count
        else { return nil }
        var standings: [UserStanding] = []
        for (index, name) in names.enumerated() {
            guard let record = found[2 * index].text, let removal = found[2 * index + 1].text else { return nil }
            let finding = UserFinding(name, record: record, removal: removal, records)
            standings.append(UserStanding(record: record, finding: finding))
        }
        return (Epoch(rawValue: epoch), standings)
    }
}

/// What a record says.
enum UserFinding: Hashable, Sendable {
    /// The name is this user's.
    case owned(User)
    /// An operator has removed it, and no user has registered it since.
    case removed
    /// There is nothing about it. A node that knows an owner all the same knows what Redis has lost.
    case missing
    /// What stands there no node of this cluster has written: it counts for nothing. A node that knows the owner puts
    /// it right; for all others the name is not free.
    case forged

    fileprivate init(_ name: PeerName, record: String, removal: String, _ records: UserRecords) {
        if let user = records.user(name, record) {
            self = .owned(user)
        } else if removal == records.removal(of: name) {
            self = .removed
        } else {
            self = record == "" ? .missing : .forged
        }
    }
}
