// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

@Suite struct WebSocketRulesTests {
    typealias Rules = WebSocketRules

    static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    static func after(_ seconds: Double) -> NIODeadline { start + .nanoseconds(Int64(seconds * 1e9)) }

    static func server(limits: WebSocketLimits = .init()) -> Rules {
        Rules(role: .server, limits: limits, jitter: 0, now: start)
    }

    static func frame(
        _ opcode: UInt8, _ data: some Sequence<UInt8> = [], final: Bool = true, reserved: Bool = false,
        masked: Bool = true
    ) -> Rules.Frame {
        Rules.Frame(
            isFinal: final, hasReservedBits: reserved, opcode: opcode, isMasked: masked, data: ByteBuffer(bytes: data)
        )
    }

    static func text(_ text: String, opcode: UInt8 = 1, final: Bool = true) -> Rules.Frame {
        frame(opcode, text.utf8, final: final)
    }

    static func close(_ code: UInt16, _ reason: String = "") -> Rules.Frame {
        frame(8, [UInt8(code >> 8), UInt8(code & 0xFF)] + Array(reason.utf8))
    }

    static func failure(_ violation: WebSocketViolation) -> Rules.End {
        Rules.End(code: violation.closeCode.rawValue, reason: .violation(violation))
    }

    // MARK: - Frames

    @Test(
        arguments: [
            (frame(1, masked: false), .unmaskedFrame), (frame(9, masked: false), .unmaskedFrame),
            (frame(1, reserved: true), .reservedBits), (frame(8, reserved: true), .reservedBits),
            (frame(2), .binaryMessage), (frame(2, final: false), .binaryMessage),
            (frame(3), .unknownOpcode), (frame(7), .unknownOpcode), (frame(11), .unknownOpcode),
            (frame(15), .unknownOpcode),
            (frame(0), .unexpectedContinuation), (frame(0, final: false), .unexpectedContinuation),
            (frame(9, final: false), .fragmentedControlFrame), (frame(8, final: false), .fragmentedControlFrame),
            (frame(9, Array(repeating: 0, count: 126)), .longControlFrame),
            (frame(8, [3]), .malformedClose),
            (frame(8, [3, 232, 0xFF]), .invalidUTF8), (frame(8, [3, 232, 0xC3]), .invalidUTF8),
            (frame(1, [0xC3]), .invalidUTF8), (frame(1, [0x61, 0xFF], final: false), .invalidUTF8),
            (frame(1, Array(repeating: 0x61, count: 65_537)), .messageTooLong),
        ] as [(Rules.Frame, WebSocketViolation)])
    func breachFailsTheConnection(frame: Rules.Frame, violation: WebSocketViolation) {
        var rules = Self.server()
        #expect(rules.frameReceived(frame, now: Self.start) == .fail(Self.failure(violation)))
        #expect(!rules.isOpen)
        #expect(rules.deadline == Self.after(5))
    }

    @Test(arguments: [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] as [UInt16])
    func aCloseCodeThatMayNotBeSentIsABreach(code: UInt16) {
        var rules = Self.server()
        #expect(rules.frameReceived(Self.close(code), now: Self.start) == .fail(Self.failure(.invalidCloseCode)))
    }

    @Test(
        arguments: [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1014, 3000, 3999, 4000, 4401, 4999]
            as [UInt16])
    func closeIsAnsweredWithItsCode(code: UInt16) {
        var rules = Self.server()
        let end = Rules.End(code: code, reason: .peer("bye é"))
        #expect(rules.frameReceived(Self.close(code, "bye é"), now: Self.start) == .answerClose(end))
        #expect(rules.closeSent() == .closeConnection)
        #expect(rules.deadline == nil)
    }

    @Test func emptyCloseIsAnsweredEmpty() {
        var rules = Self.server()
        let end = Rules.End(code: nil, reason: .peer(""))
        #expect(rules.frameReceived(Self.frame(8), now: Self.start) == .answerClose(end))
    }

    @Test func clientRefusesMasks() {
        var rules = Rules(role: .client, jitter: 0, now: Self.start)
        let plain = Self.frame(1, Array("a".utf8), masked: false)
        #expect(rules.frameReceived(plain, now: Self.start) == .deliver(ByteBuffer(string: "a")))
        #expect(rules.frameReceived(Self.text("a"), now: Self.start) == .fail(Self.failure(.maskedFrame)))
    }

    @Test func longestMessagePasses() {
        var rules = Self.server()
        let bytes = [UInt8](repeating: 0x61, count: 65_536)
        #expect(rules.frameReceived(Self.frame(1, bytes), now: Self.start) == .deliver(ByteBuffer(bytes: bytes)))
        #expect(rules.frameReceived(Self.frame(1), now: Self.start) == .deliver(ByteBuffer()))
    }

    @Test func fragmentsAreJoinedAroundControlFrames() {
        var rules = Self.server()
        let euro = Array("€".utf8)
        #expect(rules.frameReceived(Self.frame(1, euro[..<1], final: false), now: Self.start) == .nothing)
        #expect(
            rules.frameReceived(Self.frame(9, [7]), now: Self.start) == .sendPong(ByteBuffer(bytes: [7])))
        #expect(rules.frameReceived(Self.frame(10, [7]), now: Self.start) == .nothing)
        #expect(rules.frameReceived(Self.frame(0, final: false), now: Self.start) == .nothing)
        #expect(rules.frameReceived(Self.frame(0, euro[1...]), now: Self.start) == .deliver(ByteBuffer(string: "€")))
        #expect(rules.frameReceived(Self.text("next"), now: Self.start) == .deliver(ByteBuffer(string: "next")))
        #expect(rules.frameReceived(Self.frame(0), now: Self.start) == .fail(Self.failure(.unexpectedContinuation)))
    }

    @Test func controlFramesHaveAPace() {
        var rules = Self.server()
        for _ in 0..<20 { #expect(rules.frameArrived(isControl: true, now: Self.start) == .nothing) }
        // Messages are counted elsewhere.
        for _ in 0..<1000 { #expect(rules.frameArrived(isControl: false, now: Self.start) == .nothing) }
        for second in 1...600 {
            #expect(rules.frameArrived(isControl: true, now: Self.after(Double(second))) == .nothing)
        }
        let breach = rules.frameArrived(isControl: true, now: Self.after(600))
        #expect(breach == .fail(Self.failure(.tooManyControlFrames)))
        #expect(!rules.isOpen && rules.deadline == Self.after(601))
    }

    @Test func whateverComesAfterOurCloseIsCounted() {
        var rules = Self.server()
        #expect(rules.closeRequested(code: 1001, now: Self.start) == .sendClose)
        for _ in 0..<20 { #expect(rules.frameArrived(isControl: false, now: Self.start) == .nothing) }
        #expect(rules.deadline == Self.after(5))
        #expect(rules.frameArrived(isControl: false, now: Self.start) == .unreadable)
        #expect(rules.deadline == Self.after(1))
        #expect(rules.timerFired(now: Self.after(1)) == .closeConnection(.init(code: 1001, reason: .local)))
    }

    @Test func heldBackTimeDoesNotCountTowardsTheAnswerTimeout() {
        var rules = Self.server()
        guard case .sendPing = rules.timerFired(now: Self.after(20)) else { return #expect(Bool(false)) }
        #expect(rules.deadline == Self.after(40))
        rules.heldBack(for: .seconds(3))
        #expect(rules.deadline == Self.after(43))
    }

    @Test func aNewMessageInsideAnotherIsABreach() {
        var rules = Self.server()
        #expect(rules.frameReceived(Self.text("a", final: false), now: Self.start) == .nothing)
        #expect(rules.frameReceived(Self.text("b"), now: Self.start) == .fail(Self.failure(.interleavedMessage)))
    }

    @Test func halfACharacterAtTheEndOfAMessageIsABreach() {
        var rules = Self.server()
        #expect(rules.frameReceived(Self.frame(1, [0xE2, 0x82], final: false), now: Self.start) == .nothing)
        #expect(rules.frameReceived(Self.frame(0), now: Self.start) == .fail(Self.failure(.invalidUTF8)))
    }

    @Test func sixteenFragmentsPassAndNoMore() {
        for count in [16, 17] {
            var rules = Self.server()
            #expect(rules.frameReceived(Self.text("x", final: false), now: Self.start) == .nothing)
            for _ in 0..<(count - 2) {
                #expect(rules.frameReceived(Self.text("x", opcode: 0, final: false), now: Self.start) == .nothing)
            }
            let last = rules.frameReceived(Self.text("x", opcode: 0), now: Self.start)
            let whole = ByteBuffer(string: String(repeating: "x", count: count))
            #expect(last == (count == 16 ? .deliver(whole) : .fail(Self.failure(.tooManyFragments))))
        }
    }

    @Test func aMessageTooLongInPiecesIsABreach() {
        var rules = Self.server()
        let half = [UInt8](repeating: 0x61, count: 32_769)
        #expect(rules.frameReceived(Self.frame(1, half, final: false), now: Self.start) == .nothing)
        #expect(rules.frameReceived(Self.frame(0, half), now: Self.start) == .fail(Self.failure(.messageTooLong)))
    }

    // MARK: - Heartbeat

    @Test func aPongIsFollowedByTheNextPing() {
        var rules = Self.server()
        #expect(rules.deadline == Self.after(20))
        #expect(rules.timerFired(now: Self.after(19.9)) == .nothing)
        #expect(rules.timerFired(now: Self.after(20)) == .sendPing(ByteBuffer(integer: UInt64(1))))
        #expect(rules.deadline == Self.after(40))
        // A pong for another ping answers nothing.
        #expect(rules.frameReceived(Self.frame(10, [1]), now: Self.after(21)) == .nothing)
        #expect(rules.deadline == Self.after(40))
        let pong = Self.frame(10, [0, 0, 0, 0, 0, 0, 0, 1])
        #expect(rules.frameReceived(pong, now: Self.after(22)) == .nothing)
        #expect(rules.timerFired(now: Self.after(39)) == .nothing)
        #expect(rules.timerFired(now: Self.after(40)) == .sendPing(ByteBuffer(integer: UInt64(2))))
        #expect(rules.frameReceived(pong, now: Self.after(41)) == .nothing)
        #expect(rules.timerFired(now: Self.after(60)) == .fail(Self.failure(.unansweredPing)))
        #expect(WebSocketViolation.unansweredPing.closeCode.rawValue == 4408)
        #expect(rules.timerFired(now: Self.after(65)) == .closeConnection(nil))
        #expect(rules.timerFired(now: Self.after(99)) == .nothing)
    }

    @Test func jitterIsAQuarterAtMost() {
        func first(_ jitter: Double) -> NIODeadline? {
            Rules(role: .client, jitter: jitter, now: Self.start).deadline
        }
        #expect(first(-1) == Self.after(15))
        #expect(first(1) == Self.after(25))
        #expect(first(0.5) == Self.after(22.5))
        #expect(first(17) == Self.after(25))
        #expect(first(.nan) == Self.after(20))
        #expect(first(-.infinity) == Self.after(20))
    }

    @Test func lateAnswerOfAShortIntervalIsFollowedByAPingAtOnce() {
        var rules = Rules(role: .server, jitter: -1, now: Self.start)
        #expect(rules.timerFired(now: Self.after(15)) == .sendPing(ByteBuffer(integer: UInt64(1))))
        let pong = Self.frame(10, [0, 0, 0, 0, 0, 0, 0, 1])
        #expect(rules.frameReceived(pong, now: Self.after(34)) == .nothing)
        #expect(rules.deadline == Self.after(34))
        #expect(rules.timerFired(now: Self.after(34)) == .sendPing(ByteBuffer(integer: UInt64(2))))
    }

    // MARK: - Closing

    @Test func ourCloseIsAnswered() {
        var rules = Self.server()
        #expect(rules.closeRequested(code: 1001, now: Self.start) == .sendClose)
        #expect(rules.closeSent() == .nothing)
        #expect(rules.frameReceived(Self.text("late"), now: Self.start) == .nothing)
        #expect(rules.frameReceived(Self.frame(3, masked: false), now: Self.start) == .nothing)
        let end = Rules.End(code: 1001, reason: .local)
        #expect(rules.frameReceived(Self.close(1001), now: Self.start) == .closeConnection(end))
        #expect(rules.connectionClosed() == .nothing)
    }

    @Test func aCloseWithoutAnAnswerEndsTheConnection() {
        var rules = Self.server()
        #expect(rules.closeRequested(code: 1000, now: Self.start) == .sendClose)
        #expect(rules.deadline == Self.after(5))
        #expect(rules.timerFired(now: Self.after(4.9)) == .nothing)
        #expect(rules.timerFired(now: Self.after(5)) == .closeConnection(Rules.End(code: 1000, reason: .local)))
    }

    @Test func bytesThatAreNoFramesEndSooner() {
        var rules = Self.server()
        #expect(rules.framingFailed(.messageTooLong, now: Self.start) == .fail(Self.failure(.messageTooLong)))
        #expect(rules.deadline == Self.after(1))
        #expect(rules.framingFailed(.messageTooLong, now: Self.start) == .unreadable)
        #expect(rules.timerFired(now: Self.after(1)) == .closeConnection(nil))

        var closing = Self.server()
        #expect(closing.closeRequested(code: 1000, now: Self.start) == .sendClose)
        #expect(closing.framingFailed(.longControlFrame, now: Self.start) == .unreadable)
        #expect(closing.timerFired(now: Self.after(1)) == .closeConnection(Rules.End(code: 1000, reason: .local)))
    }

    // MARK: - Every cell

    /// One event of the machine, and what it gave, as text.
    static let events: [(name: String, run: @Sendable (inout Rules) -> String)] = [
        ("text", { "\($0.frameReceived(text("a"), now: start).name)" }),
        ("part", { "\($0.frameReceived(text("a", final: false), now: start).name)" }),
        ("rest", { "\($0.frameReceived(text("b", opcode: 0), now: start).name)" }),
        ("ping", { "\($0.frameReceived(frame(9), now: start).name)" }),
        ("pong", { "\($0.frameReceived(frame(10, [0, 0, 0, 0, 0, 0, 0, 1]), now: start).name)" }),
        ("close", { "\($0.frameReceived(close(1000), now: start).name)" }),
        ("breach", { "\($0.frameReceived(frame(3), now: start).name)" }),
        ("timer", { "\($0.timerFired(now: after(100)).name)" }),
        ("early", { "\($0.timerFired(now: start).name)" }),
        ("closeRequested", { $0.closeRequested(code: 1000, now: start) == .sendClose ? "sendClose" : "-" }),
        ("framingFailed", { $0.framingFailed(.longControlFrame, now: start) == .unreadable ? "-" : "fail" }),
        ("peerStalled", { $0.peerStalled(now: start) == .nothing ? "-" : "fail" }),
        ("closeSent", { $0.closeSent() == .nothing ? "-" : "closeConnection" }),
        ("connectionClosed", { $0.connectionClosed() == .nothing ? "-" : "report" }),
    ]

    static let states: [(name: String, make: @Sendable () -> Rules, cells: String)] = [
        (
            "open", { server() },
            "deliver - fail sendPong - answerClose fail sendPing - sendClose fail fail - report"
        ),
        (
            "inside a message",
            {
                var rules = server()
                _ = rules.frameReceived(text("a", final: false), now: start)
                return rules
            },
            "fail fail deliver sendPong - answerClose fail sendPing - sendClose fail fail - report"
        ),
        (
            "waiting for a pong",
            {
                var rules = server()
                _ = rules.timerFired(now: after(20))
                return rules
            },
            "deliver - fail sendPong - answerClose fail fail - sendClose fail fail - report"
        ),
        (
            "closing",
            {
                var rules = server()
                _ = rules.closeRequested(code: 1000, now: start)
                return rules
            },
            "- - - - - closeConnection+ - closeConnection+ - - - - - report"
        ),
        (
            "failed",
            {
                var rules = server()
                _ = rules.frameReceived(frame(3), now: start)
                return rules
            },
            "- - - - - closeConnection - closeConnection - - - - - -"
        ),
        (
            "finishing",
            {
                var rules = server()
                _ = rules.frameReceived(close(1000), now: start)
                return rules
            },
            "- - - - - - - closeConnection - - - - closeConnection -"
        ),
        (
            "closed",
            {
                var rules = server()
                _ = rules.connectionClosed()
                return rules
            },
            "- - - - - - - - - - - - - -"
        ),
    ]

    @Test func everyCellOfStateAndEvent() {
        for state in Self.states {
            let cells = state.cells.split(separator: " ").map(String.init)
            #expect(cells.count == Self.events.count)
            for (event, cell) in zip(Self.events, cells) {
                var rules = state.make()
                #expect(event.run(&rules) == cell, "\(state.name) × \(event.name)")
            }
        }
    }

    @Test func anySequenceOfEventsIsReportedOnceAndEnds() {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<2000 {
            var rules = Self.server()
            var reports = 0
            for _ in 0..<20 {
                guard let event = Self.events.randomElement(using: &generator) else { return }
                let action = event.run(&rules)
                if ["fail", "answerClose", "closeConnection+", "report"].contains(action) { reports += 1 }
            }
            if rules.connectionClosed() != .nothing { reports += 1 }
            #expect(reports == 1)
            #expect(rules.deadline == nil)
        }
    }

    @Test func everyViolationHasACodeThatMayBeSent() {
        for violation in WebSocketViolation.allCases {
            #expect(WebSocketCloseCode.isAllowedInFrame(violation.closeCode.rawValue))
        }
    }
}

extension WebSocketRules.FrameAction {
    var name: String {
        switch self {
        case .nothing: "-"
        case .deliver: "deliver"
        case .sendPong: "sendPong"
        case .answerClose: "answerClose"
        case .fail: "fail"
        case .closeConnection(let end): end == nil ? "closeConnection" : "closeConnection+"
        }
    }
}

extension WebSocketRules.TimerAction {
    var name: String {
        switch self {
        case .nothing: "-"
        case .sendPing: "sendPing"
        case .fail: "fail"
        case .closeConnection(let end): end == nil ? "closeConnection" : "closeConnection+"
        }
    }
}
