// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Checks UTF-8 (RFC 3629) that comes in pieces, which may be cut inside a character. Keeps three bytes, whatever the
/// length of the text.
package struct UTF8Validator: Hashable, Sendable {
    /// How many bytes the current character still needs.
    private var missing: UInt8 = 0
    /// What the next byte of the current character may be: the first one behind the lead byte has a narrower range,
    /// which rules out overlong forms, surrogates and what is beyond U+10FFFF.
    private var lowest: UInt8 = 0x80
    private var highest: UInt8 = 0xBF

    package init() {}

    /// Whether the text so far ends at the end of a character.
    package var isComplete: Bool { missing == 0 }

    /// Takes the next piece; false when it cannot be part of a UTF-8 text. Not to be used after that.
    package mutating func accept(_ bytes: ByteBufferView) -> Bool {
        bytes.allSatisfy { accept($0) }
    }

    /// Takes the next byte; false as for a piece.
    mutating func accept(_ byte: UInt8) -> Bool {
        if missing > 0 {
            guard byte >= lowest, byte <= highest else { return false }
            missing -= 1
            (lowest, highest) = (0x80, 0xBF)
            return true
        }
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: expect(1)
        case 0xE0: expect(2, from: 0xA0)
        case 0xED: expect(2, through: 0x9F)
        case 0xE1...0xEF: expect(2)
        case 0xF0: expect(3, from: 0x90)
        case 0xF1...0xF3: expect(3)
        case 0xF4: expect(3, through: 0x8F)
        default: return false
        }
        return true
    }

    private mutating func expect(_ count: UInt8, from lowest: UInt8 = 0x80, through highest: UInt8 = 0xBF) {
        missing = count
        self.lowest = lowest
        self.highest = highest
    }
}
