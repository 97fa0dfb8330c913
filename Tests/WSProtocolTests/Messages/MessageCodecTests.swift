// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

@Suite struct MessageCodecTests {
    typealias Malformed = MessageCodec.Malformed

    static func refusal(_ text: String) -> Malformed? {
        switch MessageCodec.decodeClientMessage(ByteBuffer(string: text)) {
        case .success: nil
        case .failure(let malformed): malformed
        }
    }

    @Test func everyMessageComesBack() throws {
        var random = RandomMessages(seed: 42)
        for _ in 0..<12 {
            for kind in ClientMessage.Kind.allCases {
                let message = try random.clientMessage(kind)
                let text = try MessageCodec.encode(message)
                #expect(text.readableBytes <= MessageCodec.maximumLength)
                #expect(try MessageCodec.decodeClientMessage(text).get() == message)
                #expect(message.kind == kind)
            }
            for kind in ServerMessage.Kind.allCases {
                let message = try random.serverMessage(kind)
                let text = try MessageCodec.encode(message)
                #expect(text.readableBytes <= MessageCodec.maximumLength)
                #expect(try MessageCodec.decodeServerMessage(text).get() == message)
                #expect(message.kind == kind)
            }
        }
    }

    @Test(
        arguments: [
            ("", .badMessage, "0"), ("null", .badMessage, "0"), ("[]", .badMessage, "0"),
            ("\"ping\"", .badMessage, "0"),
            ("{", .badMessage, "0"), ("{}", .badMessage, "0"), (#"{"id":"c1"}"#, .badMessage, "c1"),
            (#"{"id":"c1","type":7}"#, .badMessage, "c1"), (#"{"id":"c1","type":null}"#, .badMessage, "c1"),
            (#"{"id":"c1","type":"welcome"}"#, .unknownType, "c1"), (#"{"id":"c1","type":"PING"}"#, .unknownType, "c1"),
            (#"{"type":"nonsense"}"#, .unknownType, "0"), (#"{"id":7,"type":"ping"}"#, .badMessage, "0"),
            (#"{"type":"ping"}"#, .badMessage, "0"), (#"{"id":"","type":"ping"}"#, .badMessage, "0"),
            (#"{"id":"a b","type":"ping"}"#, .badMessage, "0"), (#"{"id":"c1","type":"ping"}x"#, .badMessage, "0"),
            (#"{"id":"c1","type":"ping"}{"id":"c2","type":"ping"}"#, .badMessage, "0"),
            (#"{"id":"c1","receiving":1,"type":"presence"}"#, .badMessage, "c1"),
            (#"{"id":"c1","receiving":"true","type":"presence"}"#, .badMessage, "c1"),
            (#"{"id":"c1","type":"presence"}"#, .badMessage, "c1"),
            (#"{"id":"c1","name":"Bob","type":"lookup"}"#, .badMessage, "c1"),
            (#"{"id":"c1","name":"bo\u0000b","type":"lookup"}"#, .badMessage, "c1"),
            (#"{"id":"c1","name":["bob"],"type":"lookup"}"#, .badMessage, "c1"),
            (#"{"code":"exploded","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","type":"cancel"}"#, .badMessage, "c1"),
            (#"{"code":"cancelled","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHx","type":"cancel"}"#, .badMessage, "c1"),
        ] as [(String, FailureCode, String)])
    func aMalformedMessageIsRefusedWithItsCodeAndID(text: String, code: FailureCode, id: String) throws {
        #expect(Self.refusal(text) == Malformed(code: code, id: try #require(RequestID(rawValue: id))))
    }

    @Test(arguments: [
        "-1", "1.5", "1.0", "1e3", "1e400", "-0.1", "18446744073709551616", "1" + String(repeating: "0", count: 5000),
        "\"5\"",
        "null", "true",
    ])
    func aNumberThatIsNoCountIsRefused(number: String) throws {
        let text = #"{"bytes":\#(number),"id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","type":"progress"}"#
        // What is no whole number of 64 bits is nothing that is read at all.
        let isRead = ["-1", "\"5\"", "null", "true"].contains(number)
        #expect(Self.refusal(text) == Malformed(code: .badMessage, id: isRead ? .sequence(.client, 1) : .unknown))
    }

    @Test func unknownFieldsAreIgnored() throws {
        let text = ByteBuffer(string: #"{"extra":{"a":[1,2,{"b":null}]},"id":"c1","type":"ping","😀":1000000000}"#)
        #expect(try MessageCodec.decodeClientMessage(text).get() == .ping(.init(id: .sequence(.client, 1))))
    }

    @Test func lengthIsBounded() throws {
        let head = #"{"id":"c1","type":"ping","x":""#
        func text(_ length: Int) -> String {
            head + String(repeating: "x", count: length - head.utf8.count - 2) + "\"}"
        }
        #expect(text(65_536).utf8.count == 65_536)
        #expect(Self.refusal(text(65_536)) == nil)
        #expect(Self.refusal(text(65_537)) == Malformed(code: .badMessage, id: .unknown))
    }

    @Test(arguments: ["[", "{\"a\":"])
    func deepNestingIsRefused(opening: String) {
        let depth = 60_000 / opening.utf8.count
        #expect(Self.refusal(String(repeating: opening, count: depth))?.code == .badMessage)
        let inside = #"{"id":"c1","type":"ping","x":"# + String(repeating: "[", count: 30_000)
        #expect(Self.refusal(inside + String(repeating: "]", count: 30_000) + "}")?.code == .badMessage)
    }

    /// What two readers would read in two ways has no id either.
    @Test(arguments: [
        #"{"id":"c1","id":"c2","type":"ping"}"#, #"{"id":"c1","type":"ping","type":"nonsense"}"#,
        #"{"id":"c1","type":"ping","typ\u0065":"ping"}"#, #"{"id":"c1","type":"ping",}"#,
        "\u{FEFF}" + #"{"id":"c1","type":"ping"}"#, #"{"id":"c1","type":"ping","x":007}"#,
        #"{"id":"c1","type":"ping","x":"\q"}"#, #"{"id":"c1","type":"ping","x":"\ud800"}"#,
    ])
    func textThatReadersCouldReadDifferentlyIsRefused(text: String) {
        #expect(Self.refusal(text) == Malformed(code: .badMessage, id: .unknown))
        #expect(
            MessageCodec.decodeServerMessage(ByteBuffer(string: text.replacing("ping", with: "pong")))
                == .failure(Malformed(code: .badMessage, id: .unknown)))
    }

    @Test(arguments: ["A", "Zh", "Zg==", "Zm9v+/", "a b"])
    func aPayloadThatIsNotBase64URLIsRefused(payload: String) {
        let text = #"{"id":"c1","payload":"\#(payload)","transfer":"EBESExQVFhcYGRobHB0eHw","type":"accept"}"#
        #expect(Self.refusal(text) == Malformed(code: .badMessage, id: .sequence(.client, 1)))
    }

    @Test func otherEncodingsAreRefused() {
        let text = #"{"id":"c1","type":"ping"}"#
        let little = text.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        let big = text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        for bytes in [little, big, [0xFF, 0xFE] + little, [0xFE, 0xFF] + big] {
            let result = MessageCodec.decodeClientMessage(ByteBuffer(bytes: bytes))
            #expect(result == .failure(Malformed(code: .badMessage, id: .unknown)))
        }
    }

    @Test func mutatedMessagesNeverCrash() throws {
        var random = RandomMessages(seed: 43)
        for kind in ClientMessage.Kind.allCases {
            let message = try random.clientMessage(kind)
            let text = try MessageCodec.encode(message)
            guard text.readableBytes < 2000 else { continue }
            for _ in 0..<100 {
                var bytes = Array(text.readableBytesView)
                for _ in 0..<Int.random(in: 1...3, using: &random.generator) {
                    let index = Int.random(in: 0..<bytes.count, using: &random.generator)
                    switch Int.random(in: 0..<3, using: &random.generator) {
                    case 0: bytes[index] = UInt8.random(in: .min ... .max, using: &random.generator)
                    case 1: bytes.remove(at: index)
                    default: bytes.insert(bytes[index], at: index)
                    }
                }
                // Whatever is understood has to survive being passed on.
                if case .success(let read) = MessageCodec.decodeClientMessage(ByteBuffer(bytes: bytes)) {
                    #expect(try MessageCodec.decodeClientMessage(MessageCodec.encode(read)).get() == read)
                }
                _ = MessageCodec.decodeServerMessage(ByteBuffer(bytes: bytes))
            }
        }
    }

    @Test func randomBytesNeverCrash() {
        var generator = SeededGenerator(seed: 44)
        for _ in 0..<2000 {
            let bytes = generator.bytes(Int.random(in: 0...64, using: &generator))
            _ = MessageCodec.decodeClientMessage(ByteBuffer(bytes: bytes))
            _ = MessageCodec.decodeServerMessage(ByteBuffer(bytes: [0x7B] + bytes))
        }
    }
}
