// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

@Suite struct FieldTests {
    /// RFC 4648, section 10, without the padding; and the two characters that differ from plain base64.
    @Test(arguments: [
        ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
        ("foobar", "Zm9vYmFy"),
    ])
    func base64EncodesTheVectorsOfTheStandard(text: String, encoded: String) {
        #expect(Base64URL.encode(text.utf8) == encoded)
        #expect(Base64URL.decode(encoded) == Array(text.utf8))
    }

    @Test func base64UsesTheURLSafeAlphabet() {
        #expect(Base64URL.encode([0xFB, 0xFF, 0xBF]) == "-_-_")
        #expect(Base64URL.decode("-_-_") == [0xFB, 0xFF, 0xBF])
        let all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        #expect(Base64URL.decode(all).map { Base64URL.encode($0) } == all)
        #expect(UInt8.min ... .max ~= 0 && (UInt8.min ... .max).filter(Base64URL.contains).count == 64)
    }

    @Test(arguments: ["A", "AAAAA", "Zg==", "Zg=", "Z g", "Zm9v\n", "+/+/", "Zh", "Zm9", "Zé", "AB\u{0}"])
    func base64RefusesOtherForms(text: String) {
        #expect(Base64URL.decode(text) == nil)
    }

    @Test func base64DecodesWhatItEncoded() {
        var generator = SeededGenerator(seed: 2)
        for length in 0..<200 {
            let bytes = generator.bytes(length)
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        }
    }

    @Test(arguments: [
        ("", ""), ("a+b", "a+b"), ("a%2Fb%c3%A9", "a/bé"), ("%", nil), ("%4", nil), ("%zz", nil), ("%+f", nil),
        ("%ff", nil),
    ])
    func percentDecodingTakesTwoDigitsAndUTF8(text: Substring, decoded: String?) {
        #expect(PercentEncoding.decodeUTF8(text) == decoded)
    }

    @Test func percentDecodingOfBytesTakesAll() {
        let all = (0...255).map { "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(PercentEncoding.decode(all[...]) == Array(0...255))
    }

    @Test func fixedBytesHaveTheirLengthOnly() {
        #expect(TransferID(bytes: [UInt8](repeating: 1, count: 15)) == nil)
        #expect(TransferID(bytes: [UInt8](repeating: 1, count: 17)) == nil)
        #expect(TransferID(rawValue: String(repeating: "A", count: 22))?.bytes == [UInt8](repeating: 0, count: 16))
        #expect(TransferID(rawValue: String(repeating: "A", count: 21)) == nil)
        #expect(TransferID(rawValue: String(repeating: "A", count: 23)) == nil)
        #expect(TransferID(rawValue: String(repeating: "A", count: 21) + "B") == nil)
        #expect(TransferID(rawValue: String(repeating: "A", count: 1 << 20)) == nil)
    }

    @Test func secretsAreNotShown() throws {
        let token = Token.random()
        #expect("\(token)" == "[redacted]")
        #expect(!String(describing: [token]).contains(token.rawValue))
        let code = try #require(InvitationCode(rawValue: "open-sesame"))
        #expect("\(code)" == "[redacted]")
        let transfer = TransferID.random()
        #expect("\(transfer)" == transfer.rawValue)
    }

    @Test func randomValuesDiffer() {
        #expect(Set((0..<100).map { _ in Token.random() }).count == 100)
    }

    @Test func randomValuesTakeEachByteOfTheirNumbersOnce() {
        var generator = Numbers()
        #expect(TransferID.random(using: &generator).bytes == Array(1...16))
        // Half a number is left over, and not used.
        #expect(FixedBytes<TwelveBytes>.random(using: &generator).bytes == Array(17...28))
        #expect(Token.random(using: &generator).bytes == Array(33...64))
    }

    private enum TwelveBytes: FixedBytesKind { static var length: Int { 12 } }

    /// Numbers whose bytes count up from 1.
    private struct Numbers: RandomNumberGenerator {
        private var last: UInt8 = 0

        mutating func next() -> UInt64 {
            (0..<8).reduce(0) { number, index in
                last += 1
                return number | UInt64(last) << (8 * index)
            }
        }
    }

    @Test(arguments: [
        ("a", true), ("0", true), ("bob", true), ("a.b_c-d", true), ("a" + String(repeating: "-", count: 62), true),
        (String(repeating: "a", count: 64), false), ("", false), (".a", false), ("_a", false), ("-a", false),
        ("Bob", false), ("b b", false), ("b/b", false), ("b\n", false), ("é", false), ("a\u{0}", false), ("a,b", false),
    ])
    func aPeerNameIsValidByItsRule(text: String, isValid: Bool) {
        #expect((PeerName(rawValue: text) != nil) == isValid)
    }

    @Test func aRequestIDHasOneTo64CharactersOfItsAlphabet() {
        #expect(RequestID(rawValue: String(repeating: "a", count: 64)) != nil)
        #expect(RequestID(rawValue: String(repeating: "a", count: 65)) == nil)
        #expect(RequestID(rawValue: "") == nil)
        #expect(RequestID(rawValue: "a.b") == nil)
        #expect(RequestID.sequence(.relay, .max).rawValue == "r18446744073709551615")
        #expect(RequestID(rawValue: RequestID.unknown.rawValue) == .unknown)
    }

    @Test func aPayloadHasAtMost32KiB() throws {
        #expect(Payload(rawValue: "")?.bytes == [])
        let longest = try #require(Payload(bytes: [UInt8](repeating: 7, count: 32_768)))
        #expect(Payload(rawValue: longest.rawValue) == longest)
        #expect(longest.bytes.count == 32_768)
        #expect(Payload(bytes: [UInt8](repeating: 7, count: 32_769)) == nil)
        #expect(Payload(rawValue: longest.rawValue + "A") == nil)
        #expect(Payload(rawValue: "Zg==") == nil)
        #expect(Payload(rawValue: "a b") == nil)
    }

    /// The relay looks into no payload, but what it passes on is one.
    @Test func payloadsAreWhatDecodes() {
        var generator = SeededGenerator(seed: 3)
        let letters = Array("ABCQgwxyz019-_")
        for text in ["A", "AAAAA", "Zh", "Zm9", "Zg", "Zm8"]
            + (0..<2000).map({ _ in
                String(
                    (0..<Int.random(in: 0...9, using: &generator)).compactMap { _ in
                        letters.randomElement(using: &generator)
                    })
            })
        {
            #expect((Payload(rawValue: text) != nil) == (Base64URL.decode(text) != nil), "\(text)")
            #expect(Payload(rawValue: text).map { $0.bytes } == Base64URL.decode(text), "\(text)")
        }
    }

    @Test func labelsArePrintable() {
        #expect(Label(rawValue: "relay-client/0.1.0 (x)") != nil)
        #expect(Label(rawValue: "") != nil)
        #expect(Label(rawValue: String(repeating: "~", count: 65)) == nil)
        for text in ["\u{1B}[31m", "a\nb", "é", "\u{7F}"] { #expect(Label(rawValue: text) == nil) }
    }
}
