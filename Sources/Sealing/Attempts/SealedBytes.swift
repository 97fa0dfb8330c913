// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials

/// `Seal` and `Open` of the format, for what is short: AES-256-GCM with the tag behind the ciphertext.
enum SealedBytes {
    static let tagLength = 16

    static func seal(
        _ plaintext: [UInt8], with key: SymmetricKey, nonce: [UInt8], as part: SealedPart
    ) throws(SealingError) -> [UInt8] {
        do {
            let box = try AES.GCM.seal(plaintext, using: key, nonce: AES.GCM.Nonce(data: nonce))
            return Array(box.ciphertext + box.tag)
        } catch {
            throw .malformed(part)
        }
    }

    static func open(
        _ sealed: ArraySlice<UInt8>, with key: SymmetricKey, nonce: [UInt8], as part: SealedPart
    ) throws(SealingError) -> [UInt8] {
        guard sealed.count >= tagLength else { throw .malformed(part) }
        do {
            let box = try AES.GCM.SealedBox(
                nonce: AES.GCM.Nonce(data: nonce), ciphertext: sealed.dropLast(tagLength), tag: sealed.suffix(tagLength)
            )
            return Array(try AES.GCM.open(box, using: key))
        } catch {
            throw .doesNotOpen(part)
        }
    }
}
