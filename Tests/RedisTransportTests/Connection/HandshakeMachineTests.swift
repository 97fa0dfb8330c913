// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RedisTransport

@Suite struct HandshakeMachineTests {
    private func machine(_ url: String) throws -> HandshakeMachine { HandshakeMachine(url: try RedisURL(url)) }

    private func info(_ text: String) -> RESPValue { .bulk(ByteBuffer(string: "# Server\r\n\(text)\r\nos:Linux\r\n")) }

    /// A machine that waits for the reply to the step of this name.
    private func waiting(for step: String) throws -> HandshakeMachine {
        var machine = try machine("redis://relay:" + "secret" + "@h/3")
        #expect(machine.connected() == .send(RedisCommand("AUTH", "relay", "secret")))
        if step == "AUTH" { return machine }
        #expect(machine.replyReceived(.simple("OK")) == .send(RedisCommand("SELECT", "3")))
        if step == "SELECT" { return machine }
        #expect(machine.replyReceived(.simple("OK")) == .send(RedisCommand("INFO", "server")))
        if step == "INFO" { return machine }
        #expect(machine.replyReceived(info("redis_version:7.0.15")) == .send(RedisCommand("PING")))
        return machine
    }

    @Test func theHandshakeSendsOnlyTheCommandsItNeeds() throws {
        var machine = try machine("redis://h")
        #expect(machine.connected() == .send(RedisCommand("INFO", "server")))
        #expect(machine.replyReceived(info("redis_version:6.2.0")) == .send(RedisCommand("PING")))
        let version = try #require(RedisVersion(info: "redis_version:6.2.0"))
        #expect(machine.replyReceived(.simple("PONG")) == .ready(version))
        var withPassword = try self.machine("redis://:" + "secret" + "@h")
        #expect(withPassword.connected() == .send(RedisCommand("AUTH", "secret")))
        #expect(withPassword.replyReceived(.simple("OK")) == .send(RedisCommand("INFO", "server")))
    }

    @Test(
        arguments: [
            ("redis_version:7.0.15", true), ("redis_version:6.2.0", true), ("redis_version:10.0.0", true),
            ("redis_version:6.0.16", false), ("redis_version:5.9.9", false), ("redis_version:2.8", false),
            ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1", true),
        ]) func versionsAreJudged(_ text: String, _ isSupported: Bool) throws
    {
        var machine = try waiting(for: "INFO")
        let action = machine.replyReceived(info(text))
        #expect(action == (isSupported ? .send(RedisCommand("PING")) : .refuse(.tooOld(String(text.dropFirst(14))))))
    }

    @Test func aReplyWithoutAVersionEndsTheHandshake() throws {
        for reply in [
            info("redis_version:"), info("redis_version:x.y"), info("nothing"), .null, .integer(1), .array([]),
        ] {
            var machine = try waiting(for: "INFO")
            #expect(machine.replyReceived(reply) == .fail(RedisError(.protocolViolation)))
        }
    }

    @Test(
        arguments: [
            ("AUTH", "WRONGPASS invalid username-password pair or user is disabled.", RedisRefusal.wrongPassword),
            ("AUTH", "ERR invalid password", .wrongPassword),
            (
                "AUTH", "ERR AUTH <password> called without any password configured for the default user.",
                .passwordNotExpected
            ),
            ("AUTH", "ERR Client sent AUTH, but no password is set", .passwordNotExpected),
            ("AUTH", "ERR wrong number of arguments for 'auth' command", .tooOld("5 or older")),
            ("SELECT", "ERR DB index is out of range", .noSuchDatabase(3)),
            ("SELECT", "ERR SELECT is not allowed in cluster mode", .databaseInCluster(3)),
            ("SELECT", "NOPERM this user has no permissions to run the 'select' command", .notPermitted("SELECT")),
            ("INFO", "NOAUTH Authentication required.", .passwordMissing),
            ("INFO", "NOPERM this user has no permissions to run the 'info' command", .notPermitted("INFO")),
            ("AUTH", "DENIED Redis is running in protected mode", .protectedMode),
        ]) func refusals(_ step: String, _ text: String, _ refusal: RedisRefusal) throws
    {
        var machine = try waiting(for: step)
        #expect(machine.replyReceived(.error(text)) == .refuse(refusal))
        #expect(!refusal.description.contains("\n"))
    }

    @Test(
        arguments: [
            ("AUTH", "ERR max number of clients reached"), ("AUTH", "LOADING Redis is loading the dataset in memory"),
            ("INFO", "ERR what"),
            ("PING", "LOADING Redis is loading the dataset in memory"), ("PING", "MASTERDOWN Link with MASTER is down"),
        ]) func whatMayPassIsNoRefusal(_ step: String, _ text: String) throws
    {
        var machine = try waiting(for: step)
        #expect(machine.replyReceived(.error(text)) == .fail(RedisError(.unreachable)))
    }

    /// A machine that waits for the reply to the first command after INFO, for that reply.
    private func informed(
        _ url: String, _ text: String, key: String? = "{relay}:epoch"
    ) throws -> (machine: HandshakeMachine, action: HandshakeMachine.Action) {
        var machine = HandshakeMachine(url: try RedisURL(url), server: try .test("n:1"), key: key)
        #expect(machine.connected() == .send(RedisCommand("INFO", "server")))
        let action = machine.replyReceived(info(text))
        return (machine, action)
    }

    private let cluster = "redis_version:7.0.15\r\nredis_mode:cluster"
    private let single = "redis_version:7.0.15\r\nredis_mode:standalone"

    @Test func aNodeOfAClusterIsAskedForItsSlotAndForTheOthers() throws {
        var (machine, action) = try informed("redis://h", cluster)
        #expect(action == .send(RedisCommand("EXISTS", "{relay}:epoch")))
        #expect(machine.replyReceived(.integer(0)) == .send(RedisCommand("CLUSTER", "SLOTS")))
        let node = RESPValue.array([.bulk(ByteBuffer(string: "m")), .integer(7)])
        let slots = RESPValue.array([.array([.integer(0), .integer(1), node])])
        #expect(machine.replyReceived(slots) == .send(RedisCommand("PING")))
        let version = try #require(RedisVersion(info: cluster))
        #expect(machine.replyReceived(.simple("PONG")) == .ready(version))
        #expect(machine.nodes == [try .test("m:7")])
        // It works without knowing the others.
        (machine, _) = try informed("redis://h", cluster)
        _ = machine.replyReceived(.integer(1))
        #expect(machine.replyReceived(.error("NOPERM no")) == .send(RedisCommand("PING")))
        // And without a key, no server is asked for a slot.
        #expect(try informed("redis://h", cluster, key: nil).action == .send(RedisCommand("PING")))
    }

    @Test func anErrorAboutTheSlotDecidesWhatFollows() throws {
        let next = HandshakeMachine.Action.send(RedisCommand("CLUSTER", "SLOTS"))
        for (text, expected) in [
            ("MOVED 1341 10.0.0.2:7000", HandshakeMachine.Action.redirect(try .test("10.0.0.2:7000"))),
            ("MOVED 1341 :7000", .redirect(try .test("n:7000"))), ("ASK 1341 10.0.0.2:7000", next),
            ("TRYAGAIN Multiple keys request during rehashing of slot", next),
            ("MOVED nonsense", .fail(RedisError(.unreachable))),
            ("CLUSTERDOWN The cluster is down", .fail(RedisError(.unreachable))),
            ("CLUSTERDOWN Hash slot not served", .fail(RedisError(.unreachable))),
            ("NOPERM this user has no permissions", .refuse(.notPermitted("EXISTS"))),
        ] {
            var machine = try informed("redis://h", cluster).machine
            #expect(machine.replyReceived(.error(text)) == expected, "\(text)")
        }
        var machine = try informed("redis://h", cluster).machine
        #expect(machine.replyReceived(.simple("OK")) == .fail(RedisError(.protocolViolation)))
    }

    @Test func behindSentinelsThereHasToBeAMaster() throws {
        let url = "redis+sentinel://s:1/main"
        var (machine, action) = try informed(url, single)
        #expect(action == .send(RedisCommand("INFO", "replication")))
        #expect(machine.replyReceived(info("role:master")) == .send(RedisCommand("PING")))
        for odd in [info("role:slave"), info("role:"), info("x"), .null, .integer(1)] {
            machine = try informed(url, single).machine
            guard case .fail = machine.replyReceived(odd) else {
                #expect(Bool(false), "\(odd)")
                continue
            }
        }
    }

    @Test func theWrongKindOfServerIsRefusedInWords() throws {
        let sentinel = "redis_version:7.0.15\r\nredis_mode:sentinel"
        for (url, text, refusal) in [
            ("redis://h", sentinel, RedisRefusal.isSentinel), ("redis+sentinel://s/main", sentinel, .isSentinel),
            ("redis+sentinel://s/main", cluster, .clusterWithSentinels), ("redis://a,b", single, .severalServers),
            ("redis://h", "redis_version:6.2.1\r\nredis_mode:cluster", .tooOldForCluster("6.2.1")),
        ] {
            #expect(try informed(url, text).action == .refuse(refusal), "\(url) \(text)")
            #expect(!refusal.description.contains("\n"))
        }
        let valkey = "redis_version:7.2.4\r\nserver_mode:cluster\r\nvalkey_version:8.0.1"
        #expect(try informed("redis://a,b", valkey).action == .send(RedisCommand("EXISTS", "{relay}:epoch")))
    }

    @Test func aUserWhoMayNotPingIsStillWelcome() throws {
        var machine = try waiting(for: "PING")
        let version = try #require(RedisVersion(info: "redis_version:7.0.15"))
        #expect(machine.replyReceived(.error("NOPERM no")) == .ready(version))
    }

    @Test func errorsDoNotRepeatTheLogin() throws {
        let text = "ERR unknown command 'AUTH', with args beginning with: 'relay' 'secret'"
        for text in [text, "X" + text, "secret"] {
            var machine = try waiting(for: "AUTH")
            guard case .fail(let error) = machine.replyReceived(.error(text)) else { return #expect(Bool(false)) }
            #expect(!error.description.contains("'secret'"))
        }
    }

    @Test func everyStateAndEvent() throws {
        let steps = ["AUTH", "SELECT", "INFO", "PING"]
        for step in steps {
            var machine = try waiting(for: step)
            #expect(machine.connected() == .none)
            #expect(machine.timedOut() == .fail(RedisError(.unreachable)))
            machine = try waiting(for: step)
            #expect(machine.closed() == .fail(RedisError(.unreachable)))
            for odd in [RESPValue.integer(1), .null, .array([]), .simple("QUEUED"), .bulk(ByteBuffer(string: "OK"))] {
                machine = try waiting(for: step)
                #expect(machine.replyReceived(odd) == .fail(RedisError(.protocolViolation)))
                // Ended: nothing happens any more.
                #expect(machine.replyReceived(.simple("OK")) == .none)
                #expect(machine.timedOut() == .none)
                #expect(machine.closed() == .none)
                #expect(machine.connected() == .none)
            }
        }
        var idle = try machine("redis://h")
        #expect(idle.replyReceived(.simple("hello")) == .fail(RedisError(.unreachable)))
        idle = try machine("redis://h")
        #expect(idle.timedOut() == .fail(RedisError(.unreachable)))
        idle = try machine("redis://h")
        #expect(idle.closed() == .fail(RedisError(.unreachable)))
    }
}
