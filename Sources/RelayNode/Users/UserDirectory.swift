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
    /// What operators have laid down about `name`; a plain account when they have not.
    func account(of name: PeerName) async throws -> UserAccount
}

extension UserDirectory {
    package func account(of name: PeerName) async throws -> UserAccount { UserAccount() }
}

/// What became of an attempt to register a name.
package enum RegistrationOutcome: Hashable, Sendable {
    case registered, nameTaken, badInvitation, closed
}

/// The operator's side of the users' registry. Errors that are not ``OperatorError`` are faults of the disk.
package protocol UserAdministration: UserDirectory {
    /// Makes an invitation, good for `lifetime` seconds, for `name` or for any name. The note is kept with the user who
    /// uses it.
    func invite(
        _ name: PeerName?, lifetime: Int64, note: String?
    ) async throws -> (code: InvitationCode, expires: UnixTime)
    /// Takes an invitation back; nothing happens when there is none with this code.
    func withdraw(_ code: InvitationCode) async throws
    /// At most `limit` users in the order of their names, from the one behind `after` on (nil: from the first), and
    /// whether these are the last.
    func users(after: PeerName?, limit: Int) async throws -> (users: [User], isLast: Bool)
    /// How many names are registered, and how many invitations wait: the last known figures when they cannot be read.
    func counts() async -> (users: Int, invitations: Int)
    /// Frees `name` for another key. Returns false when no user has it.
    func remove(_ name: PeerName) async throws -> Bool
    /// What operators have laid down about those of `names` that there is something about.
    func accounts(of names: [PeerName]) async throws -> [PeerName: UserAccount]
    /// Changes what is laid down about `name`, in one step. Returns what is now; nil when no user has the name.
    func changeAccount(
        of name: PeerName, _ change: @escaping @Sendable (inout UserAccount) -> Void
    ) async throws -> UserAccount?
    /// Gives the user of `old` the name `new`, with all that belongs to it, in one step.
    func rename(_ old: PeerName, to new: PeerName) async throws -> RenameOutcome
    /// The invitations that can still be used.
    func invitations() async throws -> [Invitation]
    /// Puts the users and invitations of a copy into the registry.
    ///
    /// - Parameter isWhole: whether users that are not in the copy are removed.
    func restore(_ copy: RegistryCopy, isWhole: Bool) async throws
    /// How many changes could not be written to the disk; always 0 where they go elsewhere.
    var failedWrites: UInt64 { get }
}

/// How an operator's wish to rename a user ended.
package enum RenameOutcome: Hashable, Sendable {
    case renamed, unknown, taken
}

extension UserAdministration {
    /// Makes an invitation without a note.
    package func invite(_ name: PeerName?, lifetime: Int64) async throws -> (code: InvitationCode, expires: UnixTime) {
        try await invite(name, lifetime: lifetime, note: nil)
    }

    package var failedWrites: UInt64 { 0 }
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
