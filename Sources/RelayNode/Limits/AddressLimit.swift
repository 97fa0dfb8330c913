// SPDX-License-Identifier: Apache-2.0

package import Pacing
package import TransferBroker
import WSProtocol

/// How much one address may use up, in users: it shares what each user may do and hold that many times.
package struct AddressLimit: Hashable, Sendable {
    /// Nil when there are no limits by address.
    package let users: Int?

    /// The limit when none is configured.
    package static let standard = AddressLimit(users: Defaults.Broker.usersPerAddress)
    package static let off = AddressLimit(users: nil)

    private init(users: Int?) { self.users = users }

    /// Reads a number from 1 to 1000, or `off`.
    package init?(_ text: String) {
        if text == "off" {
            self = .off
        } else if let users = Int(text), (1...1000).contains(users),
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        {
            self.init(users: users)
        } else {
            return nil
        }
    }

    /// Connections that have shown neither a login nor a token.
    package var unauthenticated: Int? { users.map { $0 * Defaults.Connection.unauthenticatedPerUser } }

    /// How fast those of them may follow one another that end so.
    package var unauthenticatedPace: Pace.Limits {
        Defaults.Connection.unauthenticated.times(Int64(users ?? 1))
    }

    /// Names that it may register in a day without invitations.
    package var newNames: Int? { users.map { $0 * Defaults.Users.newNamesPerUser } }

    /// What there may be of the sessions and transfers of an address.
    package var holding: Holding? { users.map { Defaults.Broker.user.times($0) } }

    /// Bytes of messages that its sessions may leave unread.
    package var unreadBytes: Int? { users.map { Defaults.Unread.bytesOfUser * $0 } }

    /// The budget of its messages, when a user has `user`. Its users do not all begin at the same moment, nor keep up
    /// the most that each may: what it may say at once is what one user may.
    package func messages(_ user: Pace.Limits = Defaults.Messages.user) -> Pace.Limits? {
        users.map { user.faster(Int64(Self.speaking(of: $0))) }
    }

    /// How many of `users` may say as much as each of them may, at the same time.
    package static func speaking(of users: Int) -> Int { max(1, users / Defaults.Messages.addressShare) }
}
