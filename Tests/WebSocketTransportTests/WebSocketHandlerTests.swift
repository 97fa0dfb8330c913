// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing
import WSProtocol
import WebSocketTransport

@Suite struct WebSocketHandlerTests {
    private typealias Fixture = PipelineFixture

    private static func clientFrame(_ first: UInt8, _ data: [UInt8]) -> [UInt8] { Fixture.clientFrame(first, data) }

    @Test func messagesGoBothWaysOnTheServer() throws {
        let fixture = try Fixture()
        let frames = Self.clientFrame(0x81, Array("hello".utf8)) + Self.clientFrame(0x81, [])
        try fixture.receive(frames)
        for byte in frames { try fixture.receive([byte]) }
        #expect(fixture.recorder.messages == ["hello", "", "hello", ""])
        try fixture.channel.writeOutbound(ByteBuffer(string: "yes"))
        #expect(try fixture.written() == [0x81, 3] + Array("yes".utf8))
        try fixture.finish()
    }

    @Test func clientMasksWithFreshKeys() throws {
        let fixture = try Fixture(role: .client)
        var keys: Set<[UInt8]> = []
        for _ in 0..<4 {
            try fixture.channel.writeOutbound(ByteBuffer(string: "abcdef"))
            let bytes = try fixture.written()
            #expect(Array(bytes.prefix(2)) == [0x81, 0x86])
            let key = Array(bytes[2..<6])
            keys.insert(key)
            #expect(bytes[6...].enumerated().map { $1 ^ key[$0 % 4] } == Array("abcdef".utf8))
        }
        #expect(keys.count > 1)
        try fixture.receive([0x81, 2] + Array("ok".utf8))
        #expect(fixture.recorder.messages == ["ok"])
        try fixture.finish()
    }

    @Test func pingIsAnswered() throws {
        let fixture = try Fixture()
        try fixture.receive(Self.clientFrame(0x89, [7, 8]) + Self.clientFrame(0x89, [9]))
        #expect(try fixture.written() == [0x8A, 2, 7, 8, 0x8A, 1, 9])
        try fixture.finish()
    }

    @Test func floodOfPingsFromAPeerWhoDoesNotReadCostsOnePong() throws {
        let fixture = try Fixture()
        fixture.channel.isWritable = false
        for number in 0..<20 { try fixture.receive(Self.clientFrame(0x89, [UInt8(number)])) }
        #expect(try fixture.written() == [])
        fixture.channel.isWritable = true
        fixture.channel.pipeline.fireChannelWritabilityChanged()
        #expect(try fixture.written() == [0x8A, 1, 19])
        try fixture.finish()
    }

    @Test(arguments: [0x89, 0x8A] as [UInt8])
    func floodOfControlFramesEndsTheConnectionAndTheRestIsDroppedUnread(first: UInt8) throws {
        let fixture = try Fixture()
        let flood = (0..<21).flatMap { _ in Self.clientFrame(first, []) }
        try fixture.receive(flood + Self.clientFrame(0x81, Array("late".utf8)) + Self.clientFrame(0x88, []))
        let pongs = first == 0x89 ? (0..<20).flatMap { _ in [0x8A, 0] as [UInt8] } : []
        #expect(try fixture.written() == pongs + [0x88, 2, 0x03, 0xF0])
        #expect(fixture.recorder.events == [.closed(code: 1008, reason: .violation(.tooManyControlFrames))])
        #expect(fixture.recorder.messages.isEmpty)
        // Nothing more is read.
        fixture.channel.read()
        #expect(fixture.gate.reads == 0)
        fixture.advance(by: .seconds(1))
        #expect(fixture.recorder.isInactive)
        try fixture.finish()
    }

    @Test func aPeerThatGoesOnWhileItIsBeingClosedIsNotHeardOut() throws {
        let fixture = try Fixture()
        fixture.channel.pipeline.triggerUserOutboundEvent(WebSocketCommand.close(code: 1001), promise: nil)
        try fixture.receive((0..<20).flatMap { _ in Self.clientFrame(0x81, [0x61]) })
        fixture.channel.read()
        #expect(fixture.gate.reads == 1)
        try fixture.receive(Self.clientFrame(0x81, [0x61]))
        fixture.channel.read()
        #expect(fixture.gate.reads == 1)
        fixture.advance(by: .seconds(1))
        #expect(fixture.recorder.events == [.closed(code: 1001, reason: .local)])
        #expect(fixture.recorder.isInactive)
        try fixture.finish()
    }

    @Test func whileAConnectionIsHeldBackNothingIsReadAndNothingIsLost() throws {
        let fixture = try Fixture()
        fixture.recorder.holdsAfterEach = true
        let frames = (0..<3).flatMap { Self.clientFrame(0x81, [0x61 + UInt8($0)]) }
        try fixture.receive(frames + Self.clientFrame(0x89, [7]) + [0x81])
        #expect(fixture.recorder.messages == ["a"])
        fixture.channel.read()
        #expect(fixture.gate.reads == 0)
        try fixture.receive(Array(Self.clientFrame(0x81, [0x64]).dropFirst()))
        for expected in [["a", "b"], ["a", "b", "c"]] {
            #expect(try fixture.written() == [])
            fixture.channel.pipeline.triggerUserOutboundEvent(WebSocketCommand.resume, promise: nil)
            #expect(fixture.recorder.messages == expected)
        }
        #expect(fixture.gate.reads == 0)
        fixture.recorder.holdsAfterEach = false
        fixture.channel.pipeline.triggerUserOutboundEvent(WebSocketCommand.resume, promise: nil)
        #expect(fixture.recorder.messages == ["a", "b", "c", "d"])
        #expect(try fixture.written() == [0x8A, 1, 7])
        // What was held back is read now.
        #expect(fixture.gate.reads == 1)
        try fixture.finish()
    }

    @Test func aPongThatLiesUnreadDoesNotTimeOut() throws {
        let fixture = try Fixture()
        fixture.advance(by: .seconds(25))
        let ping = try fixture.written()
        fixture.channel.pipeline.triggerUserOutboundEvent(WebSocketCommand.hold, promise: nil)
        try fixture.receive(Self.clientFrame(0x8A, Array(ping.dropFirst(2))))
        fixture.advance(by: .seconds(15))
        fixture.channel.pipeline.triggerUserOutboundEvent(WebSocketCommand.resume, promise: nil)
        fixture.advance(by: .seconds(6))
        #expect(fixture.recorder.events.isEmpty)
        try fixture.finish()
    }

    @Test func whatComesWhileAConnectionIsHeldBackIsBounded() throws {
        let fixture = try Fixture()
        fixture.channel.pipeline.triggerUserOutboundEvent(WebSocketCommand.hold, promise: nil)
        let frame = Self.clientFrame(0x81, Array(repeating: 0x61, count: 100))
        for _ in 0..<5000 { try fixture.receive(frame) }
        fixture.channel.pipeline.triggerUserOutboundEvent(WebSocketCommand.resume, promise: nil)
        #expect(fixture.recorder.messages.isEmpty)
        try fixture.finish()
    }

    @Test func peersCloseIsAnsweredAndTheConnectionClosed() throws {
        let fixture = try Fixture()
        try fixture.receive(Self.clientFrame(0x88, [0x03, 0xE9, 0x62]) + Self.clientFrame(0x81, [0x61]))
        #expect(try fixture.written() == [0x88, 2, 0x03, 0xE9])
        #expect(fixture.recorder.events == [.closed(code: 1001, reason: .peer("b"))])
        #expect(fixture.recorder.isInactive)
        #expect(fixture.recorder.messages.isEmpty)
        try fixture.finish()
    }

    @Test func commandClosesAfterTheAnswer() throws {
        let fixture = try Fixture()
        fixture.channel.pipeline.triggerUserOutboundEvent(WebSocketCommand.close(code: 4401), promise: nil)
        #expect(try fixture.written() == [0x88, 2, 0x11, 0x31])
        #expect(throws: WebSocketWriteError.closed) { try fixture.channel.writeOutbound(ByteBuffer(string: "late")) }
        #expect(fixture.recorder.events.isEmpty)
        try fixture.receive(Self.clientFrame(0x81, [0x61]))
        try fixture.receive(Self.clientFrame(0x88, [0x11, 0x31]))
        #expect(fixture.recorder.events == [.closed(code: 4401, reason: .local)])
        #expect(fixture.recorder.messages.isEmpty)
        #expect(fixture.recorder.isInactive)
        try fixture.finish()
    }

    @Test func commandClosesWithoutAnAnswerAfterFiveSeconds() throws {
        let fixture = try Fixture()
        // 7 may not stand in a frame.
        fixture.channel.pipeline.triggerUserOutboundEvent(WebSocketCommand.close(code: 7), promise: nil)
        #expect(try fixture.written() == [0x88, 2, 0x03, 0xF3])
        fixture.advance(by: .milliseconds(4999))
        #expect(!fixture.recorder.isInactive)
        fixture.advance(by: .milliseconds(1))
        #expect(fixture.recorder.events == [.closed(code: 1011, reason: .local)])
        #expect(fixture.recorder.isInactive)
        try fixture.finish()
    }

    @Test func silentPeerIsClosedWith4408() throws {
        let fixture = try Fixture()
        fixture.advance(by: .seconds(25))
        #expect(Array(try fixture.written().prefix(2)) == [0x89, 8])
        fixture.advance(by: .seconds(20))
        #expect(try fixture.written() == [0x88, 2, 0x11, 0x38])
        #expect(fixture.recorder.events == [.closed(code: 4408, reason: .violation(.unansweredPing))])
        fixture.advance(by: .seconds(5))
        #expect(fixture.recorder.isInactive)
        try fixture.finish()
    }

    @Test func answeringPeerStays() throws {
        let fixture = try Fixture()
        var pings = 0
        for _ in 0..<600 {
            fixture.advance(by: .seconds(1))
            let bytes = try fixture.written()
            guard !bytes.isEmpty else { continue }
            pings += 1
            try fixture.receive(Self.clientFrame(0x8A, Array(bytes.dropFirst(2))))
        }
        #expect((20...41).contains(pings))
        #expect(fixture.recorder.events.isEmpty)
        try fixture.finish()
    }

    @Test(
        arguments: [
            ([0x81, 0x01, 0x61], 1002, .unmaskedFrame),
            ([0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0], 1009, .messageTooLong),
            ([0x81, 0xFF, 0xFF, 0, 0, 0, 0, 1, 0, 1], 1009, .messageTooLong),
            ([0x09, 0x80, 0, 0, 0, 0], 1002, .fragmentedControlFrame),
            ([0x89, 0xFE, 0, 126, 0, 0, 0, 0], 1002, .longControlFrame),
            ([0xC1, 0x80, 0, 0, 0, 0], 1002, .reservedBits),
            ([0x82, 0x80, 0, 0, 0, 0], 1003, .binaryMessage),
            ([0x81, 0x81, 0, 0, 0, 0, 0xFF], 1007, .invalidUTF8),
        ] as [([UInt8], UInt16, WebSocketViolation)])
    func breachIsAnsweredWithItsCode(bytes: [UInt8], code: UInt16, violation: WebSocketViolation) throws {
        let fixture = try Fixture()
        try fixture.receive(bytes)
        try fixture.receive(Array(repeating: 0x61, count: 10))
        #expect(try fixture.written() == [0x88, 2, UInt8(code >> 8), UInt8(code & 0xFF)])
        #expect(fixture.recorder.events == [.closed(code: code, reason: .violation(violation))])
        #expect(!fixture.recorder.isInactive)
        fixture.advance(by: .seconds(5))
        #expect(fixture.recorder.isInactive)
        #expect(fixture.recorder.messages.isEmpty)
        try fixture.finish()
    }

    @Test func lostConnectionIsReported() throws {
        let fixture = try Fixture()
        try fixture.channel.close().wait()
        #expect(fixture.recorder.events == [.closed(code: nil, reason: .lost)])
        try fixture.finish()
    }

    @Test func messageThatIsTooLongIsNotSent() throws {
        let fixture = try Fixture()
        try fixture.channel.writeOutbound(ByteBuffer(repeating: 0x61, count: 65_536))
        #expect(try fixture.written().count == 65_536 + 10)
        #expect(throws: WebSocketWriteError.messageTooLong) {
            try fixture.channel.writeOutbound(ByteBuffer(repeating: 0x61, count: 65_537))
        }
        #expect(try fixture.written() == [])
        try fixture.finish()
    }

    @Test func peerWhoDoesNotReadIsClosedWith1008() throws {
        let fixture = try Fixture()
        fixture.gate.isShut = true
        fixture.channel.isWritable = false
        let message = ByteBuffer(repeating: 0x61, count: 64 * 1024)
        for _ in 0..<4 { fixture.channel.writeAndFlush(message, promise: nil) }
        #expect(fixture.recorder.events.isEmpty)
        #expect(throws: WebSocketWriteError.slowReader) { try fixture.channel.writeAndFlush(message).wait() }
        #expect(fixture.recorder.events == [.closed(code: 1008, reason: .violation(.slowReader))])
        #expect(throws: WebSocketWriteError.closed) { try fixture.channel.writeAndFlush(message).wait() }
        #expect(fixture.gate.heldBytes <= 257 * 1024)
        fixture.advance(by: .seconds(5))
        #expect(fixture.recorder.isInactive)
        try fixture.finish()
    }

    @Test func messagesThatLeftNoLongerCount() throws {
        let fixture = try Fixture()
        fixture.channel.isWritable = false
        for _ in 0..<20 { try fixture.channel.writeOutbound(ByteBuffer(repeating: 0x61, count: 64 * 1024)) }
        #expect(fixture.recorder.events.isEmpty)
        try fixture.finish()
    }

    @Test func randomBytesNeverCrash() throws {
        var seed: UInt64 = 1
        for _ in 0..<300 {
            let fixture = try Fixture()
            for _ in 0..<8 {
                let bytes: [UInt8] = (0..<24).map { _ in
                    seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return UInt8(truncatingIfNeeded: seed >> 33)
                }
                try fixture.receive(Self.clientFrame(0x81, [0x61]) + bytes)
                _ = try fixture.written()
            }
            fixture.advance(by: .seconds(60))
            #expect(fixture.recorder.events.count == 1)
            #expect(fixture.recorder.isInactive)
            try fixture.finish()
        }
    }

    @Test func handlerIsGoneWithTheChannel() throws {
        weak var handler: WebSocketHandler?
        do {
            let fixture = try Fixture()
            handler = try fixture.channel.pipeline.syncOperations.handler(type: WebSocketHandler.self)
            #expect(handler != nil)
            try fixture.finish()
        }
        #expect(handler == nil)
    }
}
