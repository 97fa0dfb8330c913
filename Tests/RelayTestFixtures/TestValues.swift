// SPDX-License-Identifier: Apache-2.0

package import TransferBroker
package import WSProtocol

extension PeerName {
    /// A name that is known to be valid.
    package static func test(_ text: String) -> PeerName {
        guard let name = PeerName(rawValue: text) else { fatalError("not a name: \(text)") }
        return name
    }
}

extension NodeID {
    /// An id that is known to be valid.
    package static func test(_ text: String) -> NodeID {
        guard let node = NodeID(rawValue: text) else { fatalError("not a node: \(text)") }
        return node
    }
}

extension User {
    /// A user with keys of its own.
    package static func test(_ name: String) -> User {
        User(name: .test(name), key: .random(), exchangeKey: .random())
    }
}
