// SPDX-License-Identifier: Apache-2.0

/// What `login` and `register` share: an identity, and the proof of it.
package struct Credentials: Codable, Hashable, Sendable {
    package var name: PeerName
    /// The Ed25519 key the name belongs to.
    package var key: SigningKey
    /// Ed25519 over ``signedBytes(purpose:audience:name:nonce:)``.
    package var signature: LoginSignature
    /// The client's program and version, for the operator's eyes.
    package var agent: Label

    package init(
        name: PeerName, key: SigningKey, signature: LoginSignature, agent: Label
    ) {
        self.name = name
        self.key = key
        self.signature = signature
        self.agent = agent
    }

    /// What the signature is for. A signature made for one purpose is worthless for the other.
    package enum Purpose: String, Sendable, CaseIterable {
        case login, register
    }

    /// The exact bytes that are signed: four lines joined by line feeds, none at the end.
    ///
    /// - Parameters:
    ///   - audience: the value of the upgrade request's Host field, in lower case: a signature given to one relay is
    ///     refused by another.
    package static func signedBytes(
        purpose: Purpose, audience: String, name: PeerName, nonce: Nonce
    ) -> [UInt8] {
        let lines = ["relay.v1 \(purpose.rawValue)", audience.lowercased(), name.rawValue, nonce.rawValue]
        return Array(lines.joined(separator: "\n").utf8)
    }
}
