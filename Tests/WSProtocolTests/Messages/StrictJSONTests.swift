// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WSProtocol

/// JSON as RFC 8259 has it, and nothing else.
@Suite struct StrictJSONTests {
    static func fault(_ text: some Sequence<UInt8>) -> JSONGrammar.Fault? {
        do throws(JSONGrammar.Fault) {
            _ = try StrictJSON(text)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        "null", "true", "false", "0", "12", "-1", "18446744073709551615", "-9223372036854775808",
        "\"\"", "\"a\"", " \t\r\n1\n", "[]", "[ ]", "{}", "{ }", "[1,2]", "[[],{}]", "[1 , 2]",
        #"{"a":1,"b":[{"a":2}]}"#,
        #"{ "a" : 1 , "b" : 2 }"#, #""\"\\\/\b\f\n\r\t""#, #""\u0000\u00e9\uFFFF""#, #""\ud83d\ude00""#, #"{"":1}"#,
        "\"é€😀\u{7F}\u{FEFF}\"", #"[{"a":1},{"a":1}]"#, #"{"a":{"a":{"a":1}}}"#, #"{"a":1,"A":2}"#,
        String(repeating: "[", count: 32) + String(repeating: "]", count: 32),
    ])
    func validTextIsTaken(text: String) {
        #expect(Self.fault(text.utf8) == nil)
    }

    @Test(arguments: [
        "", " ", "nul", "nulll", "True", "NaN", "Infinity", "-Infinity", "-", "+1", "01", "007", "-01", "00", ".5",
        "5.", "1.e5", "1.0", "-1.5", "0.10", "1e3", "1E+5", "1.0e-5", "1e-400", "-0", "[1.0]", #"{"a":1e3}"#,
        "18446744073709551616", "-9223372036854775809", "1" + String(repeating: "0", count: 308),
        "1e", "1e+", "0x10", "1_000", "1e400", "-1e400", "1" + String(repeating: "0", count: 400), "'a'", "a", "\"",
        "\"a",
        "\"\\", "\"\\\"", #""\q""#, #""\'""#, #""\x41""#, #""\u""#, #""\u12""#, #""\u12g4""#, #""\u 123""#,
        #""\U0041""#,
        "\"a\nb\"", "\"a\tb\"", "\"\u{0}\"", "\"\u{1F}\"", "\u{0}", "1\u{0}", #""\ud800""#, #""\ud800x""#,
        #""\ud800\n""#,
        #""\ud800\ud800""#, #""\ud800\u0041""#, #""\udc00""#, #""\ude00\ud83d""#, "[", "]", "[1", "[1,", "[,]", "[1,]",
        "[,1]",
        "[1,,2]", "[1 2]", "[1:2]", "{", "}", #"{"a"}"#, #"{"a":}"#, #"{"a":1"#, #"{"a":1,}"#, #"{,"a":1}"#,
        #"{"a":1 "b":2}"#,
        #"{"a",1}"#, "{a:1}", "{1:2}", "{'a':1}", "{null:1}", "[}", "{]", "1 2", "{}{}", "[]]", "{}x", "// c\n1",
        "/* c */1", "1#",
        "\u{FEFF}1", "\u{A0}1", "\u{2028}1", "1\u{B}", "1\u{C}", "\"\u{85}\" \u{85}",
    ])
    func malformedTextIsRefusedWithItsPosition(text: String) {
        guard case .malformed(let position)? = Self.fault(text.utf8) else {
            Issue.record("taken, or not for its form")
            return
        }
        #expect((0...text.utf8.count).contains(position))
    }

    @Test(arguments: [
        (#"{"a":1,"a":1}"#, "a"), (#"{"a":1,"b":2,"a":3}"#, "a"), (#"{"\u0061":1,"a":1}"#, "a"), (#"{"":1,"":2}"#, ""),
        (#"{"x":[{"b":1,"b":2}]}"#, "b"), (#"{"😀":1,"\ud83d\ude00":2}"#, "😀"), (#"{"\n":1,"\u000a":2}"#, "\n"),
        // One text to Swift, and so one key to what decodes it.
        (#"{"é":1,"e\#u{301}":2}"#, "é"),
    ])
    func aDuplicateKeyIsRefused(text: String, key: String) {
        #expect(Self.fault(text.replacing(#"\#u{301}"#, with: "\u{301}").utf8) == .duplicate(key: key))
    }

    @Test(arguments: ["[", "{\"a\":", "[{\"a\":"]) func nestingBeyondTheLimitIsRefused(opening: String) {
        #expect(Self.fault(String(repeating: opening, count: 100_000).utf8) == .tooDeep)
        #expect(Self.fault(String(repeating: "[", count: 33).utf8) == .tooDeep)
        #expect(Self.fault(String(repeating: "[", count: 32).utf8) == .malformed(at: 32))
    }

    @Test(
        arguments: [
            [0xFF], [0x80], [0xC3], [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80],
            [0xE2, 0x82], [0xF0, 0x9F, 0x98],
        ] as [[UInt8]])
    func bytesThatAreNotUTF8AreRefused(bytes: [UInt8]) {
        #expect(Self.fault([0x22] + bytes + [0x22]) != nil)
        #expect(Self.fault([0x7B, 0x22] + bytes + Array("\":1}".utf8)) != nil)
        #expect(Self.fault(bytes) != nil)
        // Nor an escape in the middle of a character.
        #expect(Self.fault([0x22] + bytes + Array("\\n\"".utf8)) != nil)
    }

    @Test(arguments: ["utf-16", "utf-32"]) func textInUTF16OrUTF32IsRefused(name: String) throws {
        let encoding: String.Encoding = name == "utf-16" ? .utf16LittleEndian : .utf32LittleEndian
        #expect(Self.fault(try #require(#"{"a":1}"#.data(using: encoding))) != nil)
    }

    /// As many keys as a message has room for: what looks for the same key must not take the square of that.
    @Test func manyKeysTakeLinearTime() {
        let keys = (0..<200_000).map { "\"\($0)\":0" }.joined(separator: ",")
        #expect(Self.fault("{\(keys)}".utf8) == nil)
        #expect(Self.fault("{\(keys),\"7\":0}".utf8) == .duplicate(key: "7"))
    }

    /// What passes is JSON to another reader too, and stays what it is when it is written again.
    @Test func damagedTextThatIsTakenMeansTheSameToAnotherReader() throws {
        let samples = [
            #"{"id":"c1","list":[1,-2500,"\u00e9\ud83d\ude00\n",true,null],"o":{"a":{},"b":[]}}"#,
            #"[{"a":1,"b":2},{"a":"é€😀","b":"\\\"/"}]"#, " [ 0 , 17 , { \"k\" : \"v\" } ] ",
        ]
        var taken = 0
        for input in HostileInputs(damaging: samples, seed: 61, count: 20_000) {
            guard Self.fault(input.bytes) == nil else { continue }
            taken += 1
            let value = try? JSONSerialization.jsonObject(with: Data(input.bytes), options: .fragmentsAllowed)
            guard let value else {
                Issue.record("\(input)")
                continue
            }
            let again = try JSONSerialization.data(withJSONObject: value, options: .fragmentsAllowed)
            #expect(Self.fault(again) == nil, "\(input)")
        }
        #expect(taken > 100)
    }

    @Test func decodingRefusesDuplicateKeysAndWrongTypes() {
        struct Point: Decodable, Equatable { var x: Int }
        #expect(StrictJSON.decode(Point.self, from: #"{"x":1,"y":2}"#.utf8) == Point(x: 1))
        #expect(StrictJSON.decode(Point.self, from: #"{"x":1,"x":1}"#.utf8) == nil)
        #expect(StrictJSON.decode(Point.self, from: #"{"x":"1"}"#.utf8) == nil)
    }
}
