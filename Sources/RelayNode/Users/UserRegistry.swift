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
    /// What there is to say about users; none is plain.
    package var accounts: [PeerName: UserAccount] = [:]
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
        let consumed: Invitation?
        switch mode {
        case .closed:
            return .closed
        case .open:
            consumed = nil
        case .invite:
            guard let digest = invitation?.digest, let found = invitations[digest], found.expires > now,
                found.name == nil || found.name == user.name
            else { return .badInvitation }
            consumed = found
        }
        guard users[user.name] == nil else { return .nameTaken }
        guard users.count < limits.users else { throw Full() }
        if let consumed { invitations[consumed.digest] = nil }
        users[user.name] = user
        accounts[user.name] = UserAccount(registered: now, note: consumed?.note)
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
    package mutating func remove(_ name: PeerName) -> Bool {
        accounts[name] = nil
        return users.removeValue(forKey: name) != nil
    }

    /// Changes what is laid down about `name`; nil when no user has it.
    package mutating func changeAccount(of name: PeerName, _ change: (inout UserAccount) -> Void) -> UserAccount? {
        guard users[name] != nil else { return nil }
        var account = accounts[name] ?? UserAccount()
        change(&account)
        accounts[name] = account.isPlain ? nil : account
        return account
    }

    /// Gives the user of `old` the name `new`.
    package mutating func rename(_ old: PeerName, to new: PeerName) -> RenameOutcome {
        guard let user = users[old] else { return .unknown }
        guard users[new] == nil else { return .taken }
        users[new] = User(name: new, key: user.key)
        accounts[new] = accounts[old]
        (users[old], accounts[old]) = (nil, nil)
        return .renamed
    }

    /// Puts the users and the invitations of `copy` in, in place of those with the same names.
    ///
    /// - Parameter isWhole: whether all others go.
    /// - Throws: ``Full`` when there is no room for all of them; nothing has changed then.
    package mutating func restore(_ copy: RegistryCopy, isWhole: Bool) throws(Full) {
        var restored = isWhole ? UserRegistry(limits: limits) : self
        for record in copy.users {
            restored.users[record.name] = record.user
            restored.accounts[record.name] = record.account
        }
        for invitation in copy.invitations { restored.invitations[invitation.digest] = invitation }
        guard restored.users.count <= limits.users, restored.invitations.count <= limits.invitations else {
            throw Full()
        }
        self = restored
    }

    /// Forgets the invitations that have expired.
    mutating func prune(now: UnixTime) {
        invitations = invitations.filter { $0.value.expires > now }
    }
}

extension UserRegistry {
    /// Why the bytes of a file are not a registry.
    package enum Damage: Error, Hashable {
        /// Not JSON, or not of this form; or a name or an invitation stands there twice. With the line, where that is
        /// known.
        case malformed(line: Int?)
        /// Written by a later version of this program.
        case version(Int)
    }

    /// The version of the file's form that is written. The first one had no accounts.
    private static let fileVersion = 2

    /// What stands in the file.
    private struct Contents: Codable {
        var version: Int
        var users: [User]
        var accounts: [NamedAccount]?
        var invitations: [Invitation]
    }

    /// An account and whose it is.
    private struct NamedAccount: Codable {
        var name: PeerName
        var account: UserAccount
    }

    /// Only the version, so that a later form can be told from damage.
    private struct Header: Codable {
        var version: Int
    }

    /// Reads what ``fileContents()`` wrote.
    package init(fileContents: Data) throws(Damage) {
        let json: StrictJSON
        do {
            json = try StrictJSON(fileContents)
        } catch {
            guard case .malformed(let position) = error else { throw .malformed(line: nil) }
            throw .malformed(line: Self.line(at: position, of: fileContents))
        }
        guard let header = json.decode(Header.self) else { throw .malformed(line: nil) }
        guard (1...Self.fileVersion).contains(header.version) else { throw .version(header.version) }
        guard let contents = json.decode(Contents.self) else {
            throw .malformed(line: Self.lineOfWrongRecord(fileContents))
        }
        for user in contents.users {
            guard users.updateValue(user, forKey: user.name) == nil else {
                throw .malformed(line: Self.line(of: "\"name\" : \"\(user.name)\"", second: true, fileContents))
            }
        }
        for invitation in contents.invitations {
            guard invitations.updateValue(invitation, forKey: invitation.digest) == nil else {
                throw .malformed(line: Self.line(of: invitation.digest.rawValue, second: true, fileContents))
            }
        }
        for entry in contents.accounts ?? [] where users[entry.name] != nil { accounts[entry.name] = entry.account }
    }

    /// The number of the line in which the byte at `position` stands.
    private static func line(at position: Int, of contents: Data) -> Int {
        1 + contents.prefix(position).count { $0 == UInt8(ascii: "\n") }
    }

    /// The line on which `text` stands: the first time, or the second.
    private static func line(of text: String, second: Bool, _ contents: Data) -> Int? {
        let lines = contents.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let found = lines.indices.filter { String(decoding: lines[$0], as: UTF8.self).contains(text) }
        return (second ? found.dropFirst().first : found.first).map { $0 + 1 }
    }

    /// Where a record begins that is JSON and no user, account or invitation: of a file as ``fileContents()`` writes
    /// it, in which each begins and ends on a line of its own.
    private static func lineOfWrongRecord(_ contents: Data) -> Int? {
        let lines = contents.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        var start: Int?
        var section = ""
        for (index, line) in lines.enumerated() {
            switch String(decoding: line, as: UTF8.self) {
            case let text where text.hasPrefix("  \"") && text.hasSuffix("["): section = text
            case "    {": start = index
            case "    }", "    },":
                guard let first = start else { return index + 1 }
                start = nil
                var record = Data(lines[first...index].joined(separator: [UInt8(ascii: "\n")]))
                if record.last == UInt8(ascii: ",") { record.removeLast() }
                guard let json = try? StrictJSON(record) else { return first + 1 }
                let isGood =
                    if section.contains("users") {
                        json.decode(User.self) != nil
                    } else if section.contains("accounts") {
                        json.decode(NamedAccount.self) != nil
                    } else { json.decode(Invitation.self) != nil }
                if !isGood { return first + 1 }
            default: break
            }
        }
        return nil
    }

    /// The registry as JSON, in an order that depends on its content alone.
    func fileContents() throws -> Data {
        try StrictJSON.data(
            of: Contents(
                version: Self.fileVersion,
                users: users.values.sorted { $0.name.rawValue < $1.name.rawValue },
                accounts: accounts.map { NamedAccount(name: $0.key, account: $0.value) }
                    .sorted { $0.name.rawValue < $1.name.rawValue },
                invitations: invitations.values.sorted { $0.digest.rawValue < $1.digest.rawValue }
            ),
            isIndented: true
        )
    }
}
