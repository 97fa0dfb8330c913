// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import WSProtocol

/// Who logs in: a name and the keys that belong to it.
struct Identity: Sendable {
    let name: PeerName
    let signingKey: Curve25519.Signing.PrivateKey
    let exchangeKey: Curve25519.KeyAgreement.PrivateKey

    /// The credentials that answer `nonce` (docs/wire-protocol.md, section 1.4).
    ///
    /// - Parameter audience: the Host field of the upgrade request.
    /// - Returns: nil only if a key were not of the length its kind has.
    func credentials(purpose: Credentials.Purpose, audience: String, nonce: Nonce) throws -> Credentials? {
        guard let key = SigningKey(bytes: signingKey.publicKey.rawRepresentation),
            let exchange = ExchangeKey(bytes: exchangeKey.publicKey.rawRepresentation), let agent = ClientAgent.label
        else { return nil }
        let bytes = Credentials.signedBytes(
            purpose: purpose, audience: audience, name: name, nonce: nonce, exchangeKey: exchange
        )
        guard let signature = LoginSignature(bytes: try signingKey.signature(for: bytes)) else { return nil }
        return Credentials(name: name, key: key, exchangeKey: exchange, signature: signature, agent: agent)
    }
}

/// The two secret keys that tie a name to its owner.
struct ProfileKeys: Sendable {
    /// Signs logins (Ed25519, RFC 8032).
    let signing: Curve25519.Signing.PrivateKey
    /// What others seal for (X25519, RFC 7748).
    let exchange: Curve25519.KeyAgreement.PrivateKey

    /// Fresh keys.
    init() {
        signing = Curve25519.Signing.PrivateKey()
        exchange = Curve25519.KeyAgreement.PrivateKey()
    }

    /// Reads what ``encoded()`` wrote; nil when it is damaged.
    init?(encoded: Data) {
        guard let stored = StrictJSON.decode(Stored.self, from: encoded), stored.v == 1,
            let signingBytes = Base64URL.decode(stored.signing), let exchangeBytes = Base64URL.decode(stored.exchange),
            let signing = try? Curve25519.Signing.PrivateKey(rawRepresentation: signingBytes),
            let exchange = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: exchangeBytes)
        else { return nil }
        self.signing = signing
        self.exchange = exchange
    }

    /// The content of the key file: secret.
    func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(
            Stored(
                v: 1,
                signing: Base64URL.encode(signing.rawRepresentation),
                exchange: Base64URL.encode(exchange.rawRepresentation)
            )
        )
    }

    private struct Stored: Codable {
        var v: Int
        var signing: String
        var exchange: String
    }
}

/// How this program calls itself.
enum ClientAgent {
    /// The version that `--version` prints.
    static let version = "0.1.0"
    /// Program and version, for HTTP's User-Agent and the protocol's `agent`.
    static let text = "relay-client/\(version)"
    /// The same as the field of a message; nil only if the text above were not printable ASCII.
    static let label = Label(rawValue: text)
}
