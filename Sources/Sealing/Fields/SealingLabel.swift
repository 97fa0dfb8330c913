// SPDX-License-Identifier: Apache-2.0

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
