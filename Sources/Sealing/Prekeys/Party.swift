// SPDX-License-Identifier: Apache-2.0

import Crypto
package import WSProtocol

/// One side of a transfer, as the other side knows it: the name that the relay gave, and the identity that is pinned
/// for it.
package struct Party: Hashable, Sendable {
    package let name: PeerName
    package let identity: SigningKey

    package init(name: PeerName, identity: SigningKey) {
        self.name = name
        self.identity = identity
    }
}

/// Ed25519, with the checks that a library does not make.
enum Signing {
    static let length = 64

    static func sign(_ bytes: [UInt8], with key: Curve25519.Signing.PrivateKey) throws(SealingError) -> [UInt8] {
        do { return Array(try key.signature(for: bytes)) } catch { throw .unusableKey }
    }

    /// Whether `signature` is one of `bytes` under `identity`, in its only form.
    static func verify(_ signature: [UInt8], of bytes: [UInt8], by identity: SigningKey) -> Bool {
        guard LoginSignature(bytes: signature) != nil,
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: identity.bytes)
        else { return false }
        return key.isValidSignature(signature, for: bytes)
    }
}
