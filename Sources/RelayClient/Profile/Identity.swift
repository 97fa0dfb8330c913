// SPDX-License-Identifier: Apache-2.0

import Crypto
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
