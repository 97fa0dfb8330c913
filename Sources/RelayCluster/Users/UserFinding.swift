// SPDX-License-Identifier: Apache-2.0

import RedisTransport
import TransferBroker
import WSProtocol

/// What Redis says about one name.
struct UserStanding: Hashable, Sendable {
    /// The record, as far as it is read; empty when there is none.
    var record: String
    /// What stands as its removal, as far as it is read; empty when nothing does.
    var removal: String
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
            standings.append(UserStanding(record: record, removal: removal, finding: finding))
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
        } else if records.isRemoval(removal, of: name) {
            self = .removed
        } else {
            self = record == "" ? .missing : .forged
        }
    }
}

/// Whose a name is, as seen by a user who wants to register it.
enum NameClaim: Hashable, Sendable {
    /// This user's, with the keys that they have now.
    case own(User)
    case other
    /// No user's yet.
    case free(User)

    /// What ``UserScripts/register`` calls it.
    var word: String {
        switch self {
        case .own: "own"
        case .other: "other"
        case .free: "free"
        }
    }

    /// What is to stand under the name; nil when the user is refused.
    func record(in mode: ServerMessage.Registration, isInvited: Bool) -> User? {
        switch (self, mode) {
        case (.own(let user), _), (.free(let user), .open): user
        case (.free(let user), .invite): isInvited ? user : nil
        case (.free, .closed), (.other, _): nil
        }
    }
}
