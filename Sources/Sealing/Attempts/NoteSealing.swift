// SPDX-License-Identifier: Apache-2.0

import Crypto

/// Who says a note.
package enum NoteSide: Hashable, Sendable, CaseIterable {
    case sender, receiver
}

/// Seals, or opens, the notes of one side in one attempt, in their order (docs/sealed-format.md, section 6). A note
/// that was lost, repeated or moved does not open, nor does any after it.
package struct NoteSealing: Sendable {
    /// The most bytes that a note carries: a payload of the wire less the suite and the tag.
    package static let maximumLength = 32 * 1024 - 1 - SealedBytes.tagLength

    private let key: SymmetricKey
    private var number: UInt64 = 0

    package init(of side: NoteSide, with keys: AttemptKeys) {
        key = side == .sender ? keys.senderNotes : keys.receiverNotes
    }

    /// What the wire's `note` carries.
    package mutating func seal(_ plaintext: [UInt8]) throws(SealingError) -> [UInt8] {
        guard plaintext.count <= Self.maximumLength, number < .max else { throw .malformed(.note) }
        let sealed = try SealedBytes.seal(plaintext, with: key, nonce: nonce, as: .note)
        number += 1
        return [SealingSuite.byte] + sealed
    }

    /// What the other side said.
    package mutating func open(_ payload: [UInt8]) throws(SealingError) -> [UInt8] {
        var reader = FieldReader(payload)
        guard let suite = reader.integer(UInt8.self), number < .max else { throw .malformed(.note) }
        guard suite == SealingSuite.byte else { throw .otherSuite(suite) }
        let plaintext = try SealedBytes.open(reader.rest, with: key, nonce: nonce, as: .note)
        number += 1
        return plaintext
    }

    private var nonce: [UInt8] {
        var nonce = FieldWriter()
        nonce.integer(UInt32(0))
        nonce.integer(number)
        return nonce.bytes
    }
}
