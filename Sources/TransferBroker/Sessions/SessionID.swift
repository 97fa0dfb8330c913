// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// Names one control connection, on whichever node it is.
///
/// Sessions are addressed by this value alone, never by an object of this process: the broker that keeps the
/// transfers need not know whether the session is on its own node.
package struct SessionID: Hashable, Sendable, CustomStringConvertible {
    /// The node that holds the connection.
    package var node: NodeID
    /// Counts the connections of that node from 1.
    package var number: UInt64

    package init(node: NodeID, number: UInt64) {
        self.node = node
        self.number = number
    }

    package var description: String { "\(node.rawValue)-\(number)" }

    /// Reads what ``description`` wrote; nil when it is nothing like that.
    package init?(label: String) {
        guard let dash = label.lastIndex(of: "-"), let node = NodeID(rawValue: String(label[..<dash])),
            let number = UInt64(label[label.index(after: dash)...])
        else { return nil }
        self.init(node: node, number: number)
    }

    /// The form in `welcome` and in logs, such as `n1-7`.
    package var label: Label { Label(clipping: description) }
}

/// Names one relay node: 1 to 32 characters of `[A-Za-z0-9._-]`.
package struct NodeID: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    package init?(rawValue: String) {
        let isAllowed: (UInt8) -> Bool = { Base64URL.contains($0) || $0 == UInt8(ascii: ".") }
        guard (1...32).contains(rawValue.utf8.count), rawValue.utf8.allSatisfy(isAllowed) else { return nil }
        self.rawValue = rawValue
    }

    /// The id of a node that is the only one.
    package static let alone = NodeID(unchecked: "n1")

    private init(unchecked rawValue: String) { self.rawValue = rawValue }
}

/// A node's own address for clients, such as `https://n2.example.org`: senders bring their bytes and tokens there, so
/// it is only ever taken from that node's configuration, or from the node itself over a proven link.
package struct PublicURL: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    /// Nil unless it is `https` and printable ASCII without blanks.
    package init?(rawValue: String) {
        guard rawValue.hasPrefix("https://"), rawValue.utf8.count <= Defaults.Broker.publicURL,
            rawValue.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        self.rawValue = rawValue
    }
}

/// A name and the key it belongs to.
package struct User: Hashable, Sendable, Codable {
    package var name: PeerName
    package var key: SigningKey
    /// What others seal to; nil until a client publishes one.
    package var prekey: PublishedPrekey?

    package init(name: PeerName, key: SigningKey, prekey: PublishedPrekey? = nil) {
        self.name = name
        self.key = key
        self.prekey = prekey
    }

    /// What is recorded of the user once a login, of the same key, has brought `latest`.
    package func updated(by latest: User) -> User {
        var user = latest
        if user.prekey?.replaces(prekey) != true { user.prekey = prekey }
        return user
    }
}

/// In whose name a session is, and where.
package struct Owner: Hashable, Sendable {
    package var name: PeerName
    /// The address whose limits it shares; nil when there are none.
    package var address: String?

    package init(name: PeerName, address: String?) {
        self.name = name
        self.address = address
    }
}
