// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("Notifications between nodes")
struct DoorbellMachineTests {
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let a = NodeID.test("a")
    private let b = NodeID.test("b")

    private func machine(unanswered: Int = 10, remembered: Int = 4) -> DoorbellMachine {
        var limits = DoorbellMachine.Limits()
        (limits.unanswered, limits.remembered) = (unanswered, remembered)
        return DoorbellMachine(node: a, incarnation: .random(), limits: limits)
    }

    private func id(_ actions: [DoorbellMachine.Action]) throws -> RequestID {
        guard case .publish(.notification(let id, _, _), _) = try #require(actions.first) else {
            throw MismatchError()
        }
        return id
    }

    private struct MismatchError: Error {}

    @Test("an unanswered notification is sent three times, a second apart, and then given up")
    func threeTimes() throws {
        var machine = machine()
        let first = machine.notify(b, .nodes, now: now)
        let id = try id(first)
        #expect(first == [.publish(.notification(id: id, from: a, .nodes), to: b)])
        #expect(machine.tick(now: now + .milliseconds(999)) == [])
        #expect(machine.tick(now: now + .seconds(1)) == first)
        #expect(machine.tick(now: now + .seconds(1)) == [])
        #expect(machine.tick(now: now + .seconds(2)) == first)
        #expect(machine.lost == 0)
        #expect(machine.tick(now: now + .seconds(3)) == [])
        #expect(machine.lost == 1 && machine.waiting == 0)
        #expect(machine.tick(now: now + .seconds(9)) == [])
    }

    @Test("an answer ends it, if it is that node's")
    func answered() throws {
        var machine = machine()
        let id = try id(machine.notify(b, .announce, now: now))
        #expect(machine.heard(.answer(id: id, from: a), now: now) == [])
        #expect(machine.heard(.answer(id: .unknown, from: b), now: now) == [])
        #expect(machine.waiting == 1)
        #expect(machine.heard(.answer(id: id, from: b), now: now) == [])
        #expect(machine.heard(.answer(id: id, from: b), now: now) == [])
        #expect(machine.tick(now: now + .seconds(9)) == [])
        #expect(machine.lost == 0)
    }

    @Test("a notification that is wanted again is sent again after the answer, which may belong to the first")
    func repeated() throws {
        var machine = machine()
        let notification = ClusterNotification.receiving(.test("bob"))
        let first = try id(machine.notify(b, notification, now: now))
        #expect(machine.notify(b, notification, now: now) == [])
        #expect(machine.notify(b, notification, now: now) == [])
        #expect(machine.notify(b, .receiving(.test("carol")), now: now).count == 1)
        let second = try id(machine.heard(.answer(id: first, from: b), now: now))
        #expect(second != first)
        #expect(machine.heard(.answer(id: second, from: b), now: now) == [])
    }

    @Test("there is a limit to what waits")
    func limit() {
        var machine = machine(unanswered: 2)
        for name in ["x", "y", "z"] { _ = machine.notify(b, .user(.test(name)), now: now) }
        #expect(machine.waiting == 2 && machine.lost == 1)
    }

    @Test("a notification is always answered, and reported once; memory is bounded")
    func heard() {
        var machine = machine(remembered: 4)
        let ids = (0..<6).map { RequestID.sequence(.relay, $0) }
        for id in ids {
            let answer = DoorbellMachine.Action.publish(.answer(id: id, from: a), to: b)
            #expect(machine.heard(.notification(id: id, from: b, .tickets), now: now) == [.heard(.tickets), answer])
            #expect(machine.heard(.notification(id: id, from: b, .tickets), now: now) == [answer])
        }
        // Another node's of the same number is another notification, and the oldest are forgotten.
        #expect(machine.heard(.notification(id: ids[5], from: .test("c"), .tickets), now: now).count == 2)
        #expect(machine.heard(.notification(id: ids[0], from: b, .tickets), now: now).count == 2)
    }

    @Test("messages have exactly the documented form")
    func golden() throws {
        let bob = PeerName.test("bob")
        let id = try #require(RequestID(rawValue: "x-1"))
        let forms: [(DoorbellMessage, String)] = [
            (
                .notification(id: id, from: a, .receiving(bob)),
                #"{"bell":"receiving","from":"a","id":"x-1","name":"bob","v":1}"#
            ),
            (.notification(id: id, from: a, .announce), #"{"bell":"announce","from":"a","id":"x-1","v":1}"#),
            (.notification(id: id, from: a, .nodes), #"{"bell":"nodes","from":"a","id":"x-1","v":1}"#),
            (.notification(id: id, from: a, .user(bob)), #"{"bell":"user","from":"a","id":"x-1","name":"bob","v":1}"#),
            (.notification(id: id, from: a, .tickets), #"{"bell":"tickets","from":"a","id":"x-1","v":1}"#),
            (.answer(id: id, from: a), #"{"answer":"x-1","from":"a","v":1}"#),
        ]
        for (message, text) in forms {
            #expect(message.text == text)
            #expect(DoorbellMessage(ByteBuffer(string: text)) == message)
        }
    }

    @Test(
        "anything else is no message",
        arguments: [
            "", "{", "[]", "1", "{}", #"{"v":1}"#, #"{"v":2,"from":"a","id":"x","bell":"nodes"}"#,
            #"{"v":1.5,"from":"a","id":"x","bell":"nodes"}"#, #"{"v":1,"from":"","id":"x","bell":"nodes"}"#,
            #"{"v":1,"from":"a","id":"","bell":"nodes"}"#, #"{"v":1,"from":"a","id":1,"bell":"nodes"}"#,
            #"{"v":1,"from":"a","id":"x","bell":"ring"}"#, #"{"v":1,"from":"a","id":"x","bell":"user"}"#,
            #"{"v":1,"from":"a","id":"x","bell":"user","name":"BOB"}"#,
            #"{"v":1,"from":"a","id":"x","bell":"nodes","name":"bob"}"#,
            #"{"v":1,"from":"a","id":"x","bell":"nodes","answer":"x"}"#,
            #"{"v":1,"from":"a","id":"x","bell":"nodes","more":1}"#,
            #"{"v":1,"from":"a:b","id":"x","bell":"nodes"}"#, "\0heartbeat 1",
            #"{"v":1,"from":"a","id":"x","bell":"nodes"}"# + String(repeating: " ", count: 1024),
            String(repeating: "[", count: 1000),
        ])
    func hostile(text: String) {
        #expect(DoorbellMessage(ByteBuffer(string: text)) == nil)
    }

    @Test("no bytes whatever end the process")
    func noise() {
        var generator = SeededGenerator(seed: 7)
        let good = Array(#"{"bell":"receiving","from":"a","id":"x-1","name":"bob","v":1}"#.utf8)
        for _ in 0..<5000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(
                    in: .min ... .max, using: &generator)
            }
            _ = DoorbellMessage(ByteBuffer(bytes: bytes.prefix(Int.random(in: 0...bytes.count, using: &generator))))
        }
    }
}
