// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials

/// `H`, `Extract` and `Expand` of the format.
enum KeyDerivation {
    /// The bytes of a hash.
    static let hashLength = SHA256.byteCount

    static func hash(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

    /// HKDF-Extract, and then HKDF-Expand to one key of 32 bytes for each of `infos`.
    static func keys(salt: [UInt8], material: SymmetricKey, infos: [[UInt8]]) -> [SymmetricKey] {
        let secret = HKDF<SHA256>.extract(inputKeyMaterial: material, salt: salt)
        return infos.map { HKDF<SHA256>.expand(pseudoRandomKey: secret, info: $0, outputByteCount: 32) }
    }

    /// HKDF-Expand from a key that is as good as a secret of Extract.
    static func expand(_ key: SymmetricKey, info: [UInt8]) -> SymmetricKey {
        HKDF<SHA256>.expand(pseudoRandomKey: key, info: info, outputByteCount: 32)
    }
}

/// What each key, hash and signature is for: no two uses begin with the same bytes.
enum SealingLabel: String, CaseIterable, Sendable {
    case fingerprint, prekey, ratchet, offer, accept, content
    case noteSender = "note sender"
    case noteReceiver = "note receiver"
    case delivered, chunks, manifest, request

    /// The bytes of the format.
    var bytes: [UInt8] { Array("relay/1 \(rawValue)\0".utf8) }
}

/// The one byte that says how everything is sealed.
enum SealingSuite {
    /// X-Wing, HKDF-SHA256, AES-256-GCM, Ed25519.
    static let byte: UInt8 = 1
}
