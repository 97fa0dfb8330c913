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
    static func read(_ reply: RESPValue, _ names: [PeerName]) -> (epoch: Epoch?, standings: [UserStanding])? {
        guard let parts = reply.elements, parts.count == 2, let epoch = parts[0].text, let found = parts[1].elements,
            found.count == 2 * names.count
        else { return nil }
        var standings: [UserStanding] = []
        for (index, name) in names.enumerated() {
            guard let record = found[2 * index].text else { return nil }
            let finding = UserFinding(name, record: record, isRemoved: found[2 * index + 1].number == 1)
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
    /// What stands there is not a user.
    case nonsense

    fileprivate init(_ name: PeerName, record: String, isRemoved: Bool) {
        if let record = UserRecord(record) {
            self = .owned(record.user(name))
        } else if record != "" {
            self = .nonsense
        } else {
            self = isRemoved ? .removed : .missing
        }
    }
}
