// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import WSProtocol

/// Who logs in: a name and the key that it belongs to.
struct Identity: Sendable {
    let name: PeerName
    let signingKey: Curve25519.Signing.PrivateKey

    /// The credentials that answer `nonce` (docs/wire-protocol.md, section 1.4).
    ///
    /// - Parameter audience: the Host field of the upgrade request.
    /// - Returns: nil only if a key were not of the length its kind has.
    func credentials(purpose: Credentials.Purpose, audience: String, nonce: Nonce) throws -> Credentials? {
        guard let key = SigningKey(bytes: signingKey.publicKey.rawRepresentation), let agent = ClientAgent.label
        else { return nil }
        let bytes = Credentials.signedBytes(
            purpose: purpose, audience: audience, name: name, nonce: nonce
        )
        guard let signature = LoginSignature(bytes: try signingKey.signature(for: bytes)) else { return nil }
        return Credentials(name: name, key: key, signature: signature, agent: agent)
    }
}

/// The secret key that ties a name to its owner.
struct ProfileKeys: Sendable {
    /// Signs logins (Ed25519, RFC 8032).
    let signing: Curve25519.Signing.PrivateKey

    /// A fresh key.
    init() {
        signing = Curve25519.Signing.PrivateKey()
    }

    /// Reads what ``encoded()`` wrote, an earlier one a second key too; nil when it is damaged.
    init?(encoded: Data) {
        guard let stored = StrictJSON.decode(Stored.self, from: encoded), stored.v == 1,
            let signingBytes = Base64URL.decode(stored.signing),
            let signing = try? Curve25519.Signing.PrivateKey(rawRepresentation: signingBytes)
        else { return nil }
        self.signing = signing
    }

    /// The content of the key file: secret.
    func encoded() throws -> Data {
        try StrictJSON.data(of: Stored(v: 1, signing: Base64URL.encode(signing.rawRepresentation)), isIndented: true)
    }

    private struct Stored: Codable {
        var v: Int
        var signing: String
    }
}

/// How this program calls itself.
enum ClientAgent {
    /// The version that `--version` prints.
    static let version = "0.1.0"
    /// Program and version, for HTTP's User-Agent and the protocol's `agent`.
    static let text = "relay-client/\(version)"
    /// Program and version as the field of a message; nil only if ``text`` were not printable ASCII.
    static let label = Label(rawValue: text)
}
