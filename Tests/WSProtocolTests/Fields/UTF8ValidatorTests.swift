// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

@Suite struct UTF8ValidatorTests {
    /// Whether `bytes`, cut before `cut`, is a whole text.
    private static func isText(_ bytes: [UInt8], cut: Int = 0) -> Bool {
        var validator = UTF8Validator()
        let pieces = [bytes[..<cut], bytes[cut...]]
        return pieces.allSatisfy { validator.accept(ByteBuffer(bytes: $0).readableBytesView) } && validator.isComplete
    }

    /// The standard library's own opinion.
    private static func isTextOfTheLibrary(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }

    @Test func everyShortSequenceIsJudgedAsByTheLibrary() {
        for first in UInt8.min ... .max {
            #expect(Self.isText([first]) == Self.isTextOfTheLibrary([first]))
            for second in UInt8.min ... .max {
                let pair = [first, second]
                guard Self.isText(pair) == Self.isTextOfTheLibrary(pair) else {
                    Issue.record("\(pair)")
                    continue
                }
            }
        }
    }

    @Test(
        arguments: [
            [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xE0, 0xA0, 0x80], [0xED, 0x9F, 0xBF], [0xED, 0xA0, 0x80],
            [0xED, 0xBF, 0xBF], [0xEF, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF0, 0x90, 0x80, 0x80], [0xF4, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
            [0xC0, 0x80], [0xC1, 0xBF], [0xFE], [0xFF], [0xF0, 0x9F, 0x98], [0xF0, 0x9F, 0x98, 0x80, 0x80],
        ] as [[UInt8]])
    func everyCutOfASequenceIsJudgedAsByTheLibrary(bytes: [UInt8]) {
        for cut in 0...bytes.count {
            #expect(Self.isText(bytes, cut: cut) == Self.isTextOfTheLibrary(bytes))
        }
    }

    @Test func randomBytesAreJudgedAsByTheLibrary() {
        var generator = SeededGenerator(seed: 3)
        let text = Array("aé€😀\u{0}\u{7FF}\u{FFFD}".utf8)
        for _ in 0..<2000 {
            var bytes = text
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            bytes[index] = UInt8.random(in: .min ... .max, using: &generator)
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            #expect(Self.isText(bytes, cut: cut) == Self.isTextOfTheLibrary(bytes))
        }
    }
}
