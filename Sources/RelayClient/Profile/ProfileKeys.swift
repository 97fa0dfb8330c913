// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import WSProtocol

/// The two secret keys that make a name somebody's own.
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
