// SPDX-License-Identifier: Apache-2.0

/// What `login` and `register` share: an identity, and the proof of it.
package struct Credentials: Codable, Hashable, Sendable {
    package var name: PeerName
    /// The Ed25519 key the name belongs to.
    package var key: SigningKey
    /// The X25519 key that others seal to; vouched for by the signature.
    package var exchangeKey: ExchangeKey
    /// Ed25519 over ``signedBytes(purpose:audience:name:nonce:exchangeKey:)``.
    package var signature: LoginSignature
    /// The client's program and version, for the operator's eyes.
    package var agent: Label

    package init(
        name: PeerName, key: SigningKey, exchangeKey: ExchangeKey, signature: LoginSignature, agent: Label
    ) {
        self.name = name
        self.key = key
        self.exchangeKey = exchangeKey
        self.signature = signature
        self.agent = agent
    }

    /// What the signature is for. A signature made for one purpose is worthless for the other.
    package enum Purpose: String, Sendable, CaseIterable {
        case login, register
    }

    /// The exact bytes that are signed: five lines joined by line feeds, none at the end.
    ///
    /// - Parameters:
    ///   - audience: the value of the upgrade request's Host field, in lower case: a signature given to one relay is
    ///     refused by another.
    package static func signedBytes(
        purpose: Purpose, audience: String, name: PeerName, nonce: Nonce, exchangeKey: ExchangeKey
    ) -> [UInt8] {
        let lines = [
            "relay.v1 \(purpose.rawValue)", audience.lowercased(), name.rawValue, nonce.rawValue, exchangeKey.rawValue,
        ]
        return Array(lines.joined(separator: "\n").utf8)
    }
}
