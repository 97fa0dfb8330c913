// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
import TransferBroker
import WSProtocol

extension UserRegistry {
    /// Why the bytes of a file are not a registry.
    package enum Damage: Error, Hashable {
        /// Not JSON, or not of this form; or a name or an invitation stands there twice.
        case malformed
        /// Written by a later version of this program.
        case version(Int)
    }

    /// The version of the file's form that is written.
    static let fileVersion = 1

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
