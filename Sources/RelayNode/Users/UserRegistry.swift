// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
package import TransferBroker
package import WSProtocol

/// The rules of who may have which name: a pure value, without files and without a clock.
///
/// A name belongs to the first key that registers it, until an operator removes it. An invitation is used up by the
/// same change that registers the name, so that a copy of this value written to disk never has one without the other.
package struct UserRegistry: Hashable, Sendable {
    package var users: [PeerName: User] = [:]
    package var invitations: [InvitationDigest: Invitation] = [:]
    /// How many names and invitations there may be.
    package var limits = Limits()

    package init(
        users: [PeerName: User] = [:], invitations: [InvitationDigest: Invitation] = [:], limits: Limits = Limits()
    ) {
        self.users = users
        self.invitations = invitations
        self.limits = limits
    }

    /// Bounds on what is kept.
    package struct Limits: Hashable, Sendable {
        package var users = Defaults.Users.maximumUsers
        package var invitations = Defaults.Users.maximumInvitations

        package init(
            users: Int = Defaults.Users.maximumUsers,
            invitations: Int = Defaults.Users.maximumInvitations
        ) {
            self.users = users
            self.invitations = invitations
        }
    }

    /// The registry has as many names as it may.
    package struct Full: Error, Hashable {
        package init() {}
    }

    /// How an operator's request for an invitation ended.
    package enum InviteOutcome: Hashable, Sendable {
        case invited
        /// The name already belongs to a user; it has to be removed first.
        case nameTaken
        /// There are as many unused invitations as there may be.
        case tooMany
    }

    /// Registers `user`, or confirms the name to the key it belongs to.
    ///
    /// In the mode `invite`, a client without a good invitation learns nothing about which names exist: only the name's
    /// own key, or a bearer of an invitation, can tell a taken name from a free one.
    /// - Throws: ``Full`` when there is no room for another name; nothing has changed then.
    package mutating func register(
        _ user: User, invitation: InvitationCode?, mode: ServerMessage.Registration, now: UnixTime
    ) throws(Full) -> RegistrationOutcome {
        if update(user) { return .registered }
        let consumed: InvitationDigest?
        switch mode {
        case .closed:
            return .closed
        case .open:
            consumed = nil
        case .invite:
            guard let digest = invitation?.digest, let found = invitations[digest], found.expires > now,
                found.name == nil || found.name == user.name
            else { return .badInvitation }
            consumed = digest
        }
        guard users[user.name] == nil else { return .nameTaken }
        guard users.count < limits.users else { throw Full() }
        if let consumed { invitations[consumed] = nil }
        users[user.name] = user
        return .registered
    }

    /// Records what a login of `latest` has brought. Returns false when the name does not belong to that key.
    package mutating func update(_ latest: User) -> Bool {
        guard let user = users[latest.name], user.key == latest.key else { return false }
        users[latest.name] = user.updated(by: latest)
        return true
    }

    /// Adds an invitation; expired ones make room first.
    package mutating func invite(_ invitation: Invitation, now: UnixTime) -> InviteOutcome {
        prune(now: now)
        if let name = invitation.name, users[name] != nil { return .nameTaken }
        guard invitations.count < limits.invitations else { return .tooMany }
        invitations[invitation.digest] = invitation
        return .invited
    }

    /// Takes an invitation back, if it is there.
    package mutating func withdraw(_ invitation: InvitationDigest) { invitations[invitation] = nil }

    /// Frees `name` for another key. Returns false when no user has it.
    package mutating func remove(_ name: PeerName) -> Bool { users.removeValue(forKey: name) != nil }

    /// Forgets the invitations that have expired.
    mutating func prune(now: UnixTime) {
        invitations = invitations.filter { $0.value.expires > now }
    }
}

extension UserRegistry {
    /// Why the bytes of a file are not a registry.
    package enum Damage: Error, Hashable {
        /// Not JSON, or not of this form; or a name or an invitation stands there twice.
        case malformed
        /// Written by a later version of this program.
        case version(Int)
    }

    /// The version of the file's form that is written.
    private static let fileVersion = 1

    /// What stands in the file.
    private struct Contents: Codable {
        var version: Int
        var users: [User]
        var invitations: [Invitation]
    }

    /// Only the version, so that a later form can be told from damage.
    private struct Header: Codable {
        var version: Int
    }

    /// Reads what ``fileContents()`` wrote.
    package init(fileContents: Data) throws(Damage) {
        guard let json = try? StrictJSON(fileContents), let header = json.decode(Header.self) else { throw .malformed }
        guard header.version == Self.fileVersion else { throw .version(header.version) }
        guard let contents = json.decode(Contents.self) else { throw .malformed }
        for user in contents.users {
            guard users.updateValue(user, forKey: user.name) == nil else { throw .malformed }
        }
        for invitation in contents.invitations {
            guard invitations.updateValue(invitation, forKey: invitation.digest) == nil else { throw .malformed }
        }
    }

    /// The registry as JSON, in an order that depends on its content alone.
    func fileContents() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return try encoder.encode(
            Contents(
                version: Self.fileVersion,
                users: users.values.sorted { $0.name.rawValue < $1.name.rawValue },
                invitations: invitations.values.sorted { $0.digest.rawValue < $1.digest.rawValue }
            )
        )
    }
}
