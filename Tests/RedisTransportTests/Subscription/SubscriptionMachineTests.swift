// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RedisTransport

@Suite struct SubscriptionMachineTests {
    private enum Location: CaseIterable {
        case idle
        case subscribing
        case subscribed
        case ended
    }

    private func bulk(_ text: String) -> RESPValue { .bulk(ByteBuffer(string: text)) }

    private func confirmation(_ channel: String) -> RESPValue {
        .array([bulk("subscribe"), bulk(channel), .integer(1)])
    }

    private func message(_ channel: String, _ payload: RESPValue) -> RESPValue {
        .array([bulk("message"), bulk(channel), payload])
    }

    /// Channel `a` is confirmed in `subscribing`.
    private func machine(_ place: Location) -> SubscriptionMachine {
        var machine = SubscriptionMachine(channels: ["a", "b"])
        if place == .idle { return machine }
        #expect(machine.connected() == .subscribe(RedisCommand("SUBSCRIBE", "a", "b")))
        #expect(machine.replyReceived(confirmation("a")) == .none)
        if place == .subscribing { return machine }
        #expect(machine.replyReceived(confirmation("b")) == .announce)
        if place == .subscribed { return machine }
        #expect(machine.replyReceived(.null) == .fail(RedisError(.protocolViolation)))
        return machine
    }

    @Test func inAClusterTheChannelsAreOfASlot() {
        func reply(_ kind: String, _ payload: RESPValue = .integer(1)) -> RESPValue {
            .array([bulk(kind), bulk("a"), payload])
        }
        func subscribed() -> SubscriptionMachine {
            var machine = SubscriptionMachine(channels: ["a"])
            #expect(machine.connected(isCluster: true) == .subscribe(RedisCommand("SSUBSCRIBE", "a")))
            #expect(machine.replyReceived(reply("ssubscribe")) == .announce)
            return machine
        }
        var machine = subscribed()
        let payload = ByteBuffer(string: "hello")
        let message = SubscriptionMachine.Action.deliver(RedisMessage(channel: "a", payload: payload))
        #expect(machine.replyReceived(reply("smessage", .bulk(payload))) == message)
        // The slot moves: nothing would come here any more.
        #expect(machine.replyReceived(reply("sunsubscribe", .integer(0))) == .fail(RedisError(.unavailable)))
        for kind in ["message", "subscribe", "unsubscribe"] {
            machine = subscribed()
            #expect(
                machine.replyReceived(reply(kind, .bulk(payload))) == .fail(RedisError(.protocolViolation)), "\(kind)")
        }
        machine = SubscriptionMachine(channels: ["a"])
        _ = machine.connected(isCluster: true)
        #expect(machine.replyReceived(.error("MOVED 1 h:2")) == .fail(RedisError(.replied)))
    }

    @Test func everyStateAndEvent() {
        for place in Location.allCases {
            var machine = machine(place)
            let subscribe = SubscriptionMachine.Action.subscribe(RedisCommand("SUBSCRIBE", "a", "b"))
            #expect(machine.connected() == (place == .idle ? subscribe : .none), "\(place)")

            machine = self.machine(place)
            let late = SubscriptionMachine.Action.fail(RedisError(.deadlineExceeded))
            #expect(machine.timedOut() == (place == .subscribing ? late : .none), "\(place)")

            machine = self.machine(place)
            let payload = ByteBuffer(string: "hello")
            let expected: SubscriptionMachine.Action =
                switch place {
                case .idle: .fail(RedisError(.protocolViolation))
                case .subscribing, .subscribed: .deliver(RedisMessage(channel: "a", payload: payload))
                case .ended: .none
                }
            #expect(machine.replyReceived(message("a", .bulk(payload))) == expected, "\(place)")

            machine = self.machine(place)
            let again: SubscriptionMachine.Action = place == .ended ? .none : .fail(RedisError(.protocolViolation))
            #expect(machine.replyReceived(confirmation("a")) == again, "\(place)")
        }
    }

    @Test func aMessageOfMoreThanTheLimitIsDropped() {
        let limit = RedisDefaults.messageLength
        var machine = machine(.subscribed)
        let largest = ByteBuffer(repeating: 1, count: limit)
        #expect(
            machine.replyReceived(message("b", .bulk(largest)))
                == .deliver(RedisMessage(channel: "b", payload: largest)))
        let larger = message("b", .bulk(ByteBuffer(repeating: 1, count: limit + 1)))
        #expect(machine.replyReceived(larger) == .dropOversized)
        #expect(
            machine.replyReceived(message("b", bulk(""))) == .deliver(RedisMessage(channel: "b", payload: ByteBuffer()))
        )
    }

    /// The first three are those that make hiredis' asynchronous layer end the process.
    @Test func malformedRepliesEndTheConnectionOnly() {
        let replies: [RESPValue] = [
            .array([bulk("unsubscribe"), .null, .integer(0)]), .array([bulk("message")]),
            .array([.integer(1), .integer(2), .integer(3)]), .array([]), .null, .integer(1), .simple("OK"),
            bulk("message"),
            .array([bulk("pong"), bulk("")]), .array([bulk("unsubscribe"), bulk("a"), .integer(0)]),
            .array([bulk("psubscribe"), bulk("a"), .integer(1)]),
            .array([bulk("pmessage"), bulk("a"), bulk("a"), bulk("x")]),
            .array([bulk("message"), bulk("other"), bulk("x")]), .array([bulk("message"), bulk("a"), .integer(1)]),
            .array([bulk("message"), bulk("a"), .null]), .array([bulk("message"), bulk("a"), bulk("x"), bulk("y")]),
            .array([bulk("subscribe"), bulk("a"), bulk("1")]), .array([.array([]), bulk("a"), bulk("x")]),
            message("\u{FFFD}", bulk("x")), .array([bulk("message"), .bulk(ByteBuffer(bytes: [0xFF])), bulk("x")]),
        ]
        for reply in replies {
            for place in [Location.subscribing, .subscribed] {
                var machine = machine(place)
                #expect(machine.replyReceived(reply) == .fail(RedisError(.protocolViolation)), "\(reply)")
                #expect(machine.replyReceived(reply) == .none)
            }
        }
    }

    @Test func aMessageBeforeTheConfirmationEndsTheConnection() {
        var machine = machine(.subscribing)
        #expect(machine.replyReceived(message("b", bulk("x"))) == .fail(RedisError(.protocolViolation)))
    }

    @Test func anErrorOfRedisIsRepeatedInThePrintableForm() {
        var machine = machine(.subscribing)
        guard case .fail(let error) = machine.replyReceived(.error("NOPERM no\nchannel")) else {
            return #expect(Bool(false))
        }
        #expect(error.isReply("NOPERM"))
        #expect(error.description == "Redis replied with an error: NOPERM no?channel")
    }
}
