// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import WSProtocol

/// What offers, acceptances and requests have in common: fields, signed together with what binds them, padded, and
/// sealed to a key by HPKE in base mode.
enum SignedEnvelope {
    /// The bytes of an encapsulated secret of X-Wing.
    static let encapsulatedLength = 1_120
    private static let tagLength = 16
    /// Plaintexts are so many bytes long, or a multiple.
    private static let padding = 512
    private static let suite = HPKE.Ciphersuite.XWingMLKEM768X25519_SHA256_AES_GCM_256

    /// The encapsulated secret and the ciphertext.
    static func seal(
        _ fields: [UInt8], info: [UInt8], to key: [UInt8], signedBy identity: Curve25519.Signing.PrivateKey,
        as part: SealedPart
    ) throws(SealingError) -> [UInt8] {
        var plaintext = fields
        plaintext += try Signing.sign(info + fields, with: identity)
        plaintext += repeatElement(0, count: (padding - plaintext.count % padding) % padding)
        do {
            let recipient = try XWingMLKEM768X25519.PublicKey(rawRepresentation: key)
            var sender = try HPKE.Sender(recipientKey: recipient, ciphersuite: suite, info: Data(info))
            return Array(sender.encapsulatedKey) + Array(try sender.seal(plaintext))
        } catch {
            // The other side's key is not one.
            throw .malformed(part)
        }
    }

    /// What was sealed: the fields, and behind them what ``verify(_:read:info:by:as:)`` looks at.
    static func open(
        _ sealed: ArraySlice<UInt8>, info: [UInt8], with key: ExchangePrivateKey, as part: SealedPart
    ) throws(SealingError) -> [UInt8] {
        let encapsulated = sealed.prefix(encapsulatedLength)
        let ciphertext = sealed.dropFirst(encapsulatedLength)
        guard ciphertext.count > tagLength, (ciphertext.count - tagLength) % padding == 0 else {
            throw .malformed(part)
        }
        do {
            var recipient = try HPKE.Recipient(
                privateKey: key, ciphersuite: suite, info: Data(info), encapsulatedKey: Data(encapsulated)
            )
            return Array(try recipient.open(ciphertext))
        } catch {
            throw .doesNotOpen(part)
        }
    }

    /// Throws unless the signature behind the fields, which have been `read` of the plaintext, is `identity`'s, and
    /// nothing but padding follows.
    static func verify(
        _ plaintext: [UInt8], read: FieldReader, info: [UInt8], by identity: SigningKey, as part: SealedPart
    ) throws(SealingError) {
        var reader = read
        guard let signature = reader.raw(Signing.length), reader.rest.count < padding,
            reader.rest.allSatisfy({ $0 == 0 })
        else { throw .malformed(part) }
        let fields = plaintext.prefix(read.position(in: plaintext))
        guard Signing.verify(signature, of: info + fields, by: identity) else { throw .signature(part) }
    }

    /// Reads the byte in front of each payload.
    static func checkSuite(_ reader: inout FieldReader, of part: SealedPart) throws(SealingError) {
        guard let suite = reader.integer(UInt8.self) else { throw .malformed(part) }
        guard suite == SealingSuite.byte else { throw .otherSuite(suite) }
    }
}
