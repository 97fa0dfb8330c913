// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import RedisTransport

@Suite struct ReplyReaderTests {
    /// All replies in `pieces`, fed one after the other.
    private func replies(_ pieces: [ByteBuffer]) throws(RedisError) -> [RESPValue] {
        let reader = ReplyReader()
        var values: [RESPValue] = []
        for piece in pieces {
            try reader.feed(piece)
            while let value = try reader.next() { values.append(value) }
        }
        return values
    }

    private func replies(_ text: String) throws(RedisError) -> [RESPValue] { try replies([ByteBuffer(string: text)]) }

    private func bulk(_ text: String) -> RESPValue { .bulk(ByteBuffer(string: text)) }

    private let golden = [
        ("+OK\r\n", RESPValue.simple("OK")),
        ("+\r\n", .simple("")),
        ("-ERR no\r\n", .error("ERR no")),
        (":0\r\n", .integer(0)),
        (":-9223372036854775808\r\n", .integer(.min)),
        (":9223372036854775807\r\n", .integer(.max)),
        ("$-1\r\n", .null),
        ("*-1\r\n", .null),
        ("$0\r\n\r\n", .bulk(ByteBuffer())),
        ("$6\r\na\r\n\0\u{7F}b\r\n", .bulk(ByteBuffer(string: "a\r\n\0\u{7F}b"))),
        ("*0\r\n", .array([])),
        (
            "*2\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n",
            .array([.integer(1), .array([.bulk(ByteBuffer(string: "x")), .null])])
        ),
        ("*3\r\n*0\r\n+a\r\n-b\r\n", .array([.array([]), .simple("a"), .error("b")])),
    ]

    @Test func everyTypeIsReadWholeAndByteByByteAndCoalesced() throws {
        let all = golden.map(\.0).joined()
        #expect(try replies(all) == golden.map(\.1))
        #expect(try replies(all.utf8.map { ByteBuffer(bytes: [$0]) }) == golden.map(\.1))
        for (text, value) in golden { #expect(try replies(text) == [value]) }
    }

    @Test func aReplyMayBeCutAnywhere() throws {
        let all = Array(golden.map(\.0).joined().utf8)
        for cut in 0...all.count {
            let pieces = [ByteBuffer(bytes: all[..<cut]), ByteBuffer(bytes: all[cut...])]
            #expect(try replies(pieces) == golden.map(\.1), "cut at \(cut)")
        }
    }

    @Test func largeRepliesAreReadUpToTheLimits() throws {
        let text = String(repeating: "x", count: RedisDefaults.bulkLength)
        #expect(try replies("$\(text.utf8.count)\r\n\(text)\r\n:1\r\n") == [bulk(text), .integer(1)])
        let array = "*65536\r\n" + String(repeating: ":1\r\n", count: 65_536)
        #expect(try replies(array).first?.elements?.count == 65_536)
        let deep = String(repeating: "*1\r\n", count: RedisDefaults.replyDepth) + ":1\r\n"
        #expect(try replies(deep).count == 1)
        let line = String(repeating: "e", count: RedisDefaults.lineLength)
        #expect(try replies("-\(line)\r\n") == [.error(line)])
    }

    @Test(
        arguments: [
            "x", "HTTP/1.1 400 Bad Request\r\n", "\r\n", "\0", "%1\r\n", ">1\r\n", "_\r\n", ",1\r\n", "#t\r\n",
            "~1\r\n",
            "$1048577\r\n", "$9223372036854775807\r\n", "$9223372036854775808\r\n", "$99999999999999999999999\r\n",
            "$-2\r\n", "$-9223372036854775808\r\n", "$\r\n", "$-\r\n", "$1x\r\n", "$ 1\r\n", "$+1\r\n", "$--1\r\n",
            "$1\n", "$1\rx", "$3\r\nabcd\r\n", "$3\r\nabc\rx", "$0\r\nx", "$00000000000000000001\r\n",
            "*65537\r\n", "*2147483647\r\n", "*4294967296\r\n", "*9223372036854775807\r\n", "*-2\r\n", "*\r\n",
            "*x\r\n",
            ":\r\n", ":1x\r\n", ":99999999999999999999\r\n", ":9223372036854775808\r\n", ":-9223372036854775809\r\n",
            ":--1\r\n", "+a\nb\r\n", "+a\rb\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
            "*2\r\n*65535\r\n", "*1\r\n?",
        ]) func hostileBytesAreAnError(_ text: String)
    {
        #expect(throws: RedisError(.protocolViolation)) { try replies(text) }
        #expect(throws: RedisError(.protocolViolation)) { try replies(text.utf8.map { ByteBuffer(bytes: [$0]) }) }
    }

    @Test func whatIsUnfinishedIsBounded() {
        let long = String(repeating: "x", count: RedisDefaults.lineLength + 1)
        #expect(throws: RedisError(.protocolViolation)) { try replies("+" + long) }
        // Five strings of the largest length are more than one reply may hold.
        let large =
            "$\(RedisDefaults.bulkLength)\r\n" + String(repeating: "x", count: RedisDefaults.bulkLength) + "\r\n"
        #expect(throws: RedisError(.protocolViolation)) { try replies("*5\r\n" + String(repeating: large, count: 5)) }
        // Arrays of arrays count as much as one array.
        let wide = "*65530\r\n" + String(repeating: ":1\r\n", count: 65_530)
        #expect(throws: RedisError(.protocolViolation)) { try replies("*2\r\n\(wide)\(wide)") }
    }

    @Test func anErrorIsForGood() throws {
        let reader = ReplyReader()
        try reader.feed(ByteBuffer(string: "*1\r\n"))
        #expect(throws: RedisError(.protocolViolation)) {
            try reader.feed(ByteBuffer(string: String(repeating: "*1\r\n", count: 8)))
            _ = try reader.next()
        }
        #expect(throws: RedisError(.protocolViolation)) { try reader.next() }
    }

    /// Not one of these may end the process, and none may keep more than the limits allow.
    @Test func randomBytesAndMutationsEndInRepliesOrErrors() {
        var generator = SeededGenerator(seed: 1)
        let alphabet = Array("+-:$*0123456789\r\n\r\n-x\0".utf8)
        let valid = Array(golden.map(\.0).joined().utf8)
        var errors = 0
        for round in 0..<6000 {
            var bytes: [UInt8]
            if round % 2 == 0 {
                bytes = (0..<Int.random(in: 1...200, using: &generator)).map { _ in
                    alphabet.randomElement(using: &generator) ?? 0
                }
            } else {
                bytes = valid
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    let index = Int.random(in: 0..<bytes.count, using: &generator)
                    switch Int.random(in: 0..<3, using: &generator) {
                    case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                    case 1: bytes.remove(at: index)
                    default: bytes.insert(alphabet.randomElement(using: &generator) ?? 0, at: index)
                    }
                }
            }
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            do throws(RedisError) {
                _ = try replies([ByteBuffer(bytes: bytes[..<cut]), ByteBuffer(bytes: bytes[cut...])])
            } catch {
                errors += 1
                #expect(error.code == .protocolViolation)
            }
        }
        #expect(errors > 1000)
    }
}
