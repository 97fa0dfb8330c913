// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import TransferBroker

@Suite("What an operator is shown of a broker")
struct BrokerEntriesTests {
    @Test("what moves comes first, with its names, its age and its node")
    func order() {
        var fixture = BrokerFixture()
        let alice = fixture.open("alice", receiving: false)
        _ = fixture.offer(alice, to: "nobody-here")
        let running = fixture.streaming()
        let now = fixture.now + .seconds(5)
        let transfers = fixture.broker.foremostTransfers(limit: 10, now: now)
        #expect(transfers.map(\.state) == [.streaming, .waiting])
        #expect(transfers.first?.id == running.transfer)
        #expect(transfers.allSatisfy { $0.node == fixture.broker.node && $0.seconds >= 5 })
        #expect(transfers.first?.download == fixture.broker.node && transfers.last?.download == nil)
        #expect(transfers.last?.to.rawValue == "nobody-here" && transfers.last?.from.rawValue == "alice")
        let sessions = fixture.broker.busiestSessions(limit: 10, now: now)
        #expect(sessions.count == fixture.broker.status.sessions)
        #expect(sessions.allSatisfy { $0.node == fixture.broker.node })
        #expect(sessions.first { $0.number == running.receiver.number }?.transfers == 1)
        #expect(
            fixture.broker.sessionCount(of: .test("alice")) == 2 && fixture.broker.sessionCount(of: .test("bob")) == 1)
        #expect(fixture.broker.sessionCount(of: .test("nobody-here")) == 0)
    }

    @Test("never more than was asked for, of ten thousand sessions")
    func bounded() {
        var fixture = BrokerFixture()
        for number in 0..<10_000 { _ = fixture.open("user\(number)") }
        #expect(fixture.broker.busiestSessions(limit: 200, now: fixture.now).count == 200)
        #expect(fixture.broker.status.sessions == 10_000)
        #expect(fixture.broker.busiestSessions(limit: 0, now: fixture.now).isEmpty)
        let page = fixture.broker.sessions(after: 17, atMost: 3, now: fixture.now)
        #expect(page.map(\.number) == [18, 19, 20])
    }

    @Test("a session's name in the log leads back to its node, whatever that is called")
    func labels() {
        for name in ["n1", "a-b", "x.y_z"] {
            let session = SessionID(node: .test(name), number: 17)
            #expect(SessionID(label: session.description) == session)
        }
        for label in ["", "n1", "-1", "n1-", "n1-x", "n 1-2"] { #expect(SessionID(label: label) == nil) }
    }
}
