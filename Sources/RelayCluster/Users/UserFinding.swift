// SPDX-License-Identifier: Apache-2.0

import RedisTransport
import TransferBroker
import WSProtocol

/// What Redis says about one name.
enum UserFinding: Hashable, Sendable {
    /// It is this user's.
    case owned(User)
    /// An operator has removed it, and no user has registered it since.
    case removed
    /// There is nothing about it. A node that knows an owner all the same knows what Redis has lost.
    case missing
    /// What stands there is not a user.
    case nonsense

    /// What ``UserScripts/read`` replies about `names`, and the epoch it goes with; nil when it is not of that form.
    static func read(_ reply: RESPValue, _ names: [PeerName]) -> (epoch: Epoch?, findings: [UserFinding])? {
        guard let parts = reply.elements, parts.count == 2, let epoch = parts[0].text, let found = parts[1].elements,
            found.count == 2 * names.count
        else { return nil }
        let findings = names.enumerated().map { index, name in
            UserFinding(name, record: found[2 * index].text, isRemoved: found[2 * index + 1].number == 1)
        }
        return (Epoch(rawValue: epoch), findings)
    }

    private init(_ name: PeerName, record: String?, isRemoved: Bool) {
        if let record = record.flatMap(UserRecord.init) {
            self = .owned(record.user(name))
        } else if record != "" {
            self = .nonsense
        } else {
            self = isRemoved ? .removed : .missing
        }
    }
}
