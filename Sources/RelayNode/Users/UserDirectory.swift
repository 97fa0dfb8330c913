// SPDX-License-Identifier: Apache-2.0

package import ServerSystem
package import TransferBroker
package import WSProtocol

/// Who owns which name.
package protocol UserDirectory: Sendable {
    /// The owner of `name`; nil when no user has it.
    func user(named: PeerName) async throws -> User?
    /// Registers or confirms: same key again succeeds without using the invitation, and is recorded as by
    /// ``update(_:)``.
    func register(_ user: User, invitation: InvitationCode?) async throws -> RegistrationOutcome
    /// Records what a login, whose signature holds, has brought: ``User/updated(by:)``. Returns false when the name
    /// does not belong to that key, or not any more.
    func update(_ latest: User) async throws -> Bool
}

/// What became of an attempt to register a name.
package enum RegistrationOutcome: Hashable, Sendable {
    case registered, nameTaken, badInvitation, closed
}

/// The operator's side of the users' registry. Errors that are not ``OperatorError`` are faults of the disk.
package protocol UserAdministration: UserDirectory {
    /// Makes an invitation, good for `lifetime` seconds, for `name` or for any name.
    func invite(_ name: PeerName?, lifetime: Int64) async throws -> (code: InvitationCode, expires: UnixTime)
    /// Takes an invitation back; nothing happens when there is none with this code.
    func withdraw(_ code: InvitationCode) async throws
    /// At most `limit` users in the order of their names, from the one behind `after` on (nil: from the first), and
    /// whether these are the last.
    func users(after: PeerName?, limit: Int) async throws -> (users: [User], isLast: Bool)
    /// How many names are registered, and how many invitations wait: the last known figures when they cannot be read.
    func counts() async -> (users: Int, invitations: Int)
    /// Frees `name` for another key. Returns false when no user has it.
    func remove(_ name: PeerName) async throws -> Bool
}

extension UserRegistry.InviteOutcome {
    /// What the operator is told when there is no invitation for `name`.
    package func refusal(_ name: PeerName?) -> OperatorError? {
        switch self {
        case .invited: return nil
        case .nameTaken:
            let name = name?.rawValue ?? ""
            return OperatorError(
                .refused, "\(name) is registered already: `relay-server users remove \(name)` frees the name"
            )
        case .tooMany:
            return OperatorError(.refused, "there are too many unused invitations: wait until some expire")
        }
    }
}
