// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RedisTransport

@Suite struct SentinelMachineTests {
    private let question = SentinelMachine.Action.send(RedisCommand("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"))

    private func asking() -> SentinelMachine {
        var machine = SentinelMachine(master: "main", login: nil)
        #expect(machine.connected() == question)
        return machine
    }

    private func bulks(_ texts: String...) -> RESPValue { .array(texts.map { .bulk(ByteBuffer(string: $0)) }) }

    @Test func aMasterIsAnAddress() throws {
        for (host, port) in [("10.0.0.1", 6379), ("redis-1.example", 1), ("2001:db8::1", 65_535)] {
            var machine = asking()
            let server = try #require(RedisEndpoint(host: host, port: port))
            #expect(machine.replyReceived(bulks(host, "\(port)")) == .answer(.master(server)))
            // The question has its answer.
            #expect(machine.replyReceived(.null) == .none)
            #expect(machine.ended(RedisError(.unreachable)) == .none)
        }
    }

    @Test func garbageIsNoAnswer() {
        let hostile: [RESPValue] = [
            bulks("h"), bulks("h", "1", "2"), bulks("h", "0"), bulks("h", "65536"), bulks("h", "-1"), bulks("h", "+1"),
            bulks("h", "1x"), bulks("", "1"), bulks("a b", "1"), bulks("h\r\nAUTH x", "1"), bulks("@h", "1"),
            bulks("h/..", "1"), bulks(":::::", "1"), bulks(String(repeating: "a", count: 254), "1"),
            .array([.null, .null]), .array([]), .integer(1), .simple("OK"), .bulk(ByteBuffer(string: "h:1")),
            .error("ERR what"), .array([.integer(1), .integer(2)]),
        ]
        for reply in hostile {
            var machine = asking()
            #expect(machine.replyReceived(reply) == .answer(.failed(RedisError(.unreachable))), "\(reply)")
        }
    }

    @Test func anAnswerWithoutAnAddressSaysWhy() {
        for (reply, answer) in [
            (RESPValue.null, SentinelAnswer.unknown),
            (.error("NOAUTH Authentication required."), .refused(.sentinelPassword)),
            (.error("ERR unknown command 'SENTINEL', with args"), .failed(RedisError(.unreachable))),
        ] {
            var machine = asking()
            #expect(machine.replyReceived(reply) == .answer(answer))
        }
        var early = SentinelMachine(master: "main", login: nil)
        #expect(early.replyReceived(.simple("hello")) == .answer(.failed(RedisError(.unreachable))))
        var silent = asking()
        #expect(silent.ended(RedisError(.unreachable)) == .answer(.failed(RedisError(.unreachable))))
    }

    @Test func theLoginComesFirst() throws {
        for (text, command) in [
            ("word", RedisCommand("AUTH", "word")), (":word", RedisCommand("AUTH", "word")),
            ("watch:w%3A%25", RedisCommand("AUTH", "watch", "w:%")),
        ] {
            var machine = SentinelMachine(master: "main", login: try RedisLogin(text))
            #expect(machine.connected() == .send(command))
            #expect(machine.replyReceived(.simple("OK")) == question)
        }
        for (reply, answer) in [
            ("WRONGPASS invalid username-password pair", SentinelAnswer.refused(.sentinelPassword)),
            ("ERR AUTH <password> called without any password configured", .refused(.sentinelPassword)),
            ("ERR 'secret' is what", .failed(RedisError(.unreachable))),
        ] {
            var machine = SentinelMachine(master: "main", login: try RedisLogin("secret"))
            #expect(machine.connected() == .send(RedisCommand("AUTH", "secret")))
            let action = machine.replyReceived(.error(reply))
            #expect(action == .answer(answer))
            #expect(!"\(action)".contains("secret"))
        }
    }

    @Test func noFormShowsThePassword() throws {
        let login = try RedisLogin("watch:" + "correcthorse")
        var dumped = ""
        dump(login, to: &dumped)
        for text in ["\(login)", String(reflecting: login), dumped] { #expect(!text.contains("correcthorse")) }
        for text in ["", ":", "a:", "a:%zz", "%"] {
            #expect(throws: RedisLogin.Malformed.self) { try RedisLogin(text) }
        }
    }
}

// MARK: - Every state and event

extension SentinelMachineTests {
    private enum Location: CaseIterable {
        case idle
        case authenticating
        case asking
        case ended
    }

    private enum Event: CaseIterable {
        case connected
        case accepted
        case address
        case unknown
        case refused
        case ended
    }

    private func machine(_ place: Location) throws -> SentinelMachine {
        var machine = SentinelMachine(master: "main", login: try RedisLogin("word"))
        if place != .idle { _ = machine.connected() }
        if place == .asking || place == .ended { _ = machine.replyReceived(.simple("OK")) }
        if place == .ended { _ = machine.ended(RedisError(.unreachable)) }
        return machine
    }

    private func feed(_ event: Event, to machine: inout SentinelMachine) -> SentinelMachine.Action {
        switch event {
        case .connected: machine.connected()
        case .accepted: machine.replyReceived(.simple("OK"))
        case .address: machine.replyReceived(bulks("redis", "6379"))
        case .unknown: machine.replyReceived(.null)
        case .refused: machine.replyReceived(.error("NOAUTH Authentication required."))
        case .ended: machine.ended(RedisError(.unreachable))
        }
    }

    /// Where `event` leads from `place`, and with what.
    private func expected(_ place: Location, _ event: Event) throws -> (Location, SentinelMachine.Action) {
        let failed = SentinelMachine.Action.answer(.failed(RedisError(.unreachable)))
        switch (place, event) {
        case (.ended, _): return (.ended, .none)
        case (_, .ended): return (.ended, failed)
        case (.idle, .connected): return (.authenticating, .send(RedisCommand("AUTH", "word")))
        case (.authenticating, .connected), (.asking, .connected): return (place, .none)
        case (.authenticating, .accepted): return (.asking, question)
        case (.asking, .address):
            return (.ended, .answer(.master(try #require(RedisEndpoint(host: "redis", port: 6_379)))))
        case (.asking, .unknown): return (.ended, .answer(.unknown))
        case (.asking, .refused): return (.ended, .answer(.refused(.sentinelPassword)))
        case (.idle, _), (.authenticating, _), (.asking, _): return (.ended, failed)
        }
    }

    @Test func everyStateAndEvent() throws {
        for place in Location.allCases {
            for event in Event.allCases {
                var machine = try machine(place)
                let action = feed(event, to: &machine)
                let (next, expected) = try expected(place, event)
                #expect(action == expected, "\(place), \(event)")
                // Where it is shows in what it does next.
                for probe in Event.allCases {
                    var (machine, same) = (machine, try self.machine(next))
                    #expect(feed(probe, to: &machine) == feed(probe, to: &same), "\(place), \(event), \(probe)")
                }
            }
        }
    }
}
