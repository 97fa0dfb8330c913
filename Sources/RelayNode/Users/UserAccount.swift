// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TransferBroker
package import WSProtocol

/// What is kept about a user besides its keys: what operators have laid down, and how it came.
package struct UserAccount: Hashable, Sendable, Codable {
    /// Since when the user may not log in; nil when it may.
    package var disabled: UnixTime?
    /// When the name was registered, if that was written down.
    package var registered: UnixTime?
    /// The note of the invitation that the user came with.
    package var note: String?
    /// The limits that are not those of every user; nil when all are.
    private var ownLimits: LimitSet?

    package var limits: LimitSet {
        get { ownLimits ?? [:] }
        set { ownLimits = newValue.isEmpty ? nil : newValue }
    }

    package init(
        disabled: UnixTime? = nil, registered: UnixTime? = nil, note: String? = nil, limits: LimitSet = [:]
    ) {
        self.disabled = disabled
        self.registered = registered
        self.note = note
        self.limits = limits
    }

    /// Whether there is nothing in it.
    package var isPlain: Bool { self == UserAccount() }

    private enum CodingKeys: String, CodingKey {
        case disabled, registered, note
        case ownLimits = "limits"
    }
}

/// A user with its account, as copies and operators have it. The prekey is left out: it comes back with the next login.
package struct AccountRecord: Hashable, Sendable, Codable {
    package var name: PeerName
    package var key: SigningKey
    /// Nil when it is a plain one.
    package var account: UserAccount?

    package init(_ user: User, _ account: UserAccount?) {
        name = user.name
        key = user.key
        self.account = account.flatMap { $0.isPlain ? nil : $0 }
    }

    package var user: User { User(name: name, key: key) }
}

/// What is in a registry.
package struct RegistryCopy: Hashable, Sendable {
    package var users: [AccountRecord]
    package var invitations: [Invitation]

    package init(users: [AccountRecord] = [], invitations: [Invitation] = []) {
        self.users = users
        self.invitations = invitations
    }

    /// SHA-256 of what a line of a copy says, in base64url.
    package static func checksum(of bytes: [UInt8]) -> String { Base64URL.encode(Array(SHA256.hash(data: bytes))) }
}
