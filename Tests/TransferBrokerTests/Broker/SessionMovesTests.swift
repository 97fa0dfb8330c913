// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import TransferBroker

/// How sessions are told to go elsewhere.
@Suite struct SessionMovesTests {
    private static let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private static func sessions(_ count: UInt64) -> [SessionID] {
        count == 0 ? [] : (1...count).map { SessionID(node: .alone, number: $0) }
    }

    /// How many were told by each quarter of a second up to the deadline.
    private static func told(_ count: UInt64, within time: TimeAmount) -> [Int] {
        var moves = SessionMoves()
        moves.begin(sessions(count), until: begin + time, now: begin)
        var (told, now): ([Int], NIODeadline) = ([], begin)
        var all: Set<SessionID> = []
        while now < begin + time {
            if case .tell(let due, let deadline) = moves.due(now: now) {
                #expect(deadline == begin + time && all.isDisjoint(with: due))
                all.formUnion(due)
            }
            told.append(all.count)
            now = now + .milliseconds(250)
        }
        #expect(moves.isUnderWay && moves.due(now: begin + time) == .over && moves.isOver)
        #expect(moves.due(now: begin + time) == .nothing)
        return told
    }

    @Test func theyAreSpreadOverTheFirstHalf() {
        let few = Self.told(3, within: .seconds(10))
        #expect(few.first == 1 && few[1] == 3, "\(few)")
        // A hundred a second.
        let some = Self.told(200, within: .seconds(10))
        #expect(some[4] == 101 && some[8] == 200, "\(some)")
        // As many as there has to be, where there is less time than that.
        let many = Self.told(10_000, within: .seconds(10))
        #expect(many[10] == 5_001 && many[20] == 10_000, "\(many)")
        #expect(Self.told(0, within: .seconds(10)).last == 0)
    }

    @Test func whoIsInAHurryIsToldOnce() {
        var moves = SessionMoves()
        let (sessions, end) = (Self.sessions(200), Self.begin + .seconds(10))
        #expect(moves.hurry(sessions[0]) == nil && moves.deadline == nil)
        moves.begin(sessions, until: end, now: Self.begin)
        var told: [SessionID] = []
        if case .tell(let due, until: _) = moves.due(now: Self.begin) { told = due }
        #expect(told.count == 1)
        for session in sessions where session != told[0] { #expect(moves.hurry(session) == end) }
        #expect(moves.hurry(told[0]) == nil && moves.hurry(sessions[1]) == nil)
        #expect(moves.due(now: Self.begin + .seconds(5)) == .nothing)
        // Only the first call counts.
        moves.begin(sessions, until: end + .hours(1), now: Self.begin + .seconds(6))
        #expect(moves.due(now: end) == .over)
        moves.begin(sessions, until: end + .hours(1), now: end)
        #expect(moves.isOver && moves.due(now: end + .hours(1)) == .nothing)
    }

    @Test func nothingIsToldBeforeItBegins() {
        var moves = SessionMoves()
        #expect(moves.due(now: Self.begin) == .nothing && !moves.isUnderWay && !moves.isOver)
    }

    // MARK: - At a broker

    private static func messages(_ actions: [BrokerAction]) -> [String] {
        actions.compactMap { action in
            switch action {
            case .send(let session, .move(let move)): "\(session.number):move.\(move.deadline)"
            case .send(let session, .error(let refusal)): "\(session.number):error.\(refusal.code.rawValue)"
            case .send(let session, let message): "\(session.number):\(message.kind.rawValue)"
            case .close(let session, let code): "\(session.number):close.\(code.rawValue)"
            default: nil
            }
        }.sorted()
    }

    @Test func whoIsLeftAtTheDeadlineIsClosedOnceNothingOfItGoesOn() {
        var fixture = BrokerFixture()
        let running = fixture.streaming()
        let idle = [fixture.open("carol"), fixture.open("dave")]
        var told = Self.messages(fixture.handle(.moveBegun(within: .seconds(10))))
        #expect(fixture.handle(.drainBegun).isEmpty, "no session is closed as long as there is time to go")
        #expect(fixture.broker.isMoving)
        fixture.now = fixture.now + .seconds(1)
        told += Self.messages(fixture.handle(.timerFired))
        #expect(told.count == 4 && Set(told.map { $0.split(separator: ":")[0] }).count == 4)
        // One has found another node.
        #expect(Self.messages(fixture.handle(.sessionClosed(idle[0]))).isEmpty)
        fixture.now = fixture.now + .seconds(8)
        #expect(Self.messages(fixture.handle(.timerFired)).isEmpty)
        fixture.now = fixture.now + .seconds(1)
        #expect(Self.messages(fixture.handle(.timerFired)) == ["\(idle[1].number):close.1001"])
        #expect(!fixture.broker.isMoving)
        _ = fixture.stream(running.transfer, .finished(bytes: 1))
        let delivered = fixture.ask(running.receiver) {
            .delivered(.init(id: $0, transfer: running.transfer, payload: BrokerFixture.payload))
        }
        let closed = [running.sender, running.receiver].map { "\($0.number):close.1001" }
        #expect(Self.messages(delivered).filter { $0.contains("close") } == closed.sorted())
    }

    @Test func whoAsksForSomethingNewIsToldBeforeItIsRefused() {
        var fixture = BrokerFixture()
        let sessions = (0..<50).map { fixture.open("user\($0)") }
        let first = Set(
            Self.messages(fixture.handle(.moveBegun(within: .seconds(10)))).map { $0.split(separator: ":")[0] })
        _ = fixture.handle(.drainBegun)
        let untold = sessions.filter { !first.contains("\($0.number)") }
        let (_, actions) = fixture.offer(untold[0], to: "user1")
        let number = untold[0].number
        #expect(Self.messages(actions) == ["\(number):error.draining", "\(number):move.10"])
        if case .send(_, .move)? = actions.first {} else { Issue.record("\(actions)") }
        #expect(Self.messages(fixture.offer(untold[0], to: "user1").1) == ["\(number):error.draining"])
        // All else is answered as ever.
        #expect(
            Self.messages(fixture.ask(untold[1]) { .presence(.init(id: $0, receiving: true)) }).last?.hasSuffix(":ok")
                == true)
    }

    @Test func whoLogsInMeanwhileIsToldAtOnce() {
        var fixture = BrokerFixture()
        _ = fixture.open("alice")
        _ = fixture.handle(.moveBegun(within: .seconds(10)))
        let late = SessionID(node: .alone, number: 99)
        fixture.now = fixture.now + .seconds(4)
        let opened = fixture.handle(.sessionOpened(late, BrokerFixture.user("bob"), .unknown))
        #expect(Self.messages(opened) == ["99:move.6", "99:welcome"])
        _ = fixture.handle(.drainBegun)
        fixture.now = fixture.now + .seconds(6)
        _ = fixture.handle(.timerFired)
        let last = SessionID(node: .alone, number: 100)
        let tooLate = fixture.handle(.sessionOpened(last, BrokerFixture.user("carol"), .unknown))
        #expect(Self.messages(tooLate) == ["100:close.1001", "100:welcome"])
    }

    @Test func withoutAMoveTheIdleAreClosedAtOnce() {
        var fixture = BrokerFixture()
        let idle = fixture.open("carol")
        #expect(Self.messages(fixture.handle(.drainBegun)) == ["\(idle.number):close.1001"])
        #expect(!fixture.broker.isMoving)
    }
}
