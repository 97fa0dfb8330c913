// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

@testable import RedisTransport
@testable import RelayCluster
@testable import TransferBroker

/// What is made of Redis' replies behind the codec: where to connect to, whose a reply is, and what is believed.
enum RedisStateDecoder {
    /// A byte that chooses, and replies in lines, as Redis writes them.
    static let replies = FuzzedDecoder(
        "redis-replies", longest: 4_000, of: .lines,
        sources: [
            "RedisTransport/Connection/PipelineMachine.swift", "RedisTransport/Connection/TopologyMachine.swift",
            "RedisTransport/Subscription/HeartbeatMachine.swift", "RelayCluster/Tickets/TicketScripts.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        let choice = reader.byte()
        let replies = RedisDecoder.replies(in: Array(reader.rest))
        for url in try urls.get() { try connects(url, replies, choice) }
        try pipelines(Array(reader.rest), choice)
        for reply in replies {
            try tickets(reply)
            try users(reply)
            try heartbeat(reply, choice)
        }
    }

    // MARK: - Where to connect to

    private static let urls = Result {
        try ["redis://h", "redis://h,i,j", "redis+sentinel://h/m", "redis+sentinel://h,i,j/m"].map { try RedisURL($0) }
    }

    /// Attempts to connect whose servers answer with these replies, one after the other.
    private static func connects(_ url: RedisURL, _ replies: [RESPValue], _ choice: UInt8) throws {
        var machine = TopologyMachine(url)
        var rest = replies[...]
        let isCluster = choice & 1 == 0
        for _ in 0..<8 where !rest.isEmpty {
            var action = machine.begin()
            if case .ask(let sentinels) = action { action = try asks(sentinels, &machine, &rest, url, choice) }
            var dials = 0
            while case .dial(let server) = action {
                dials += 1
                try hold(dials <= RedisDefaults.redirects + 1, "\(dials) servers in one attempt")
                try hold(!server.host.isEmpty && server.port > 0, "no server: \(server)")
                guard let reply = rest.popFirst() else { break }
                if case .error(let text) = reply, let other = RedisEndpoint(moved: text, by: server) {
                    action = machine.redirected(to: other, by: server)
                } else if case .error = reply {
                    machine.failed(server)
                    break
                } else {
                    let nodes = ClusterMap.nodes(reply, by: server)
                    machine.connected(to: server, nodes: nodes, isCluster: isCluster)
                    if let text = reply.text, let other = RedisEndpoint(moved: text, by: server) {
                        machine.moved(to: other)
                    }
                    try hold(!machine.hasChoice || isCluster || url.endpoints.count > 1, "others than the URL names")
                    break
                }
            }
            try hold(action != .none, "an attempt that never ends")
        }
        _ = machine.askingEnded()
    }

    /// All Sentinels answer, and something comes of it.
    private static func asks(
        _ sentinels: [RedisEndpoint], _ machine: inout TopologyMachine, _ rest: inout ArraySlice<RESPValue>,
        _ url: RedisURL, _ choice: UInt8
    ) throws -> TopologyMachine.Action {
        try hold(machine.hasSentinels && !machine.hasChoice, "Sentinels of no Sentinels")
        var masters: [RedisEndpoint] = []
        for sentinel in sentinels {
            var question = SentinelMachine(master: url.master ?? "", login: nil)
            _ = question.connected()
            var answer = question.ended(RedisError(.unreachable))
            if choice & 2 == 0 || sentinel != sentinels.first, let reply = rest.popFirst() {
                question = SentinelMachine(master: url.master ?? "", login: nil)
                _ = question.connected()
                answer = question.replyReceived(reply)
            }
            guard case .answer(let answer) = answer else { throw Broken(description: "a reply without an answer") }
            if case .master(let master) = answer { masters.append(master) }
            let action = machine.answered(by: sentinel, answer)
            try hold(machine.answered(by: sentinel, .unknown) == .none, "a Sentinel that answers twice")
            if case .dial(let server) = action {
                try hold(masters.contains(server), "\(server) is dialled, and \(masters) are named")
                try hold(
                    masters.count { $0 == machine.agreed } * 2 > sentinels.count || machine.agreed == nil, "no majority"
                )
            }
            if action != .none { return action }
        }
        // All have answered.
        throw Broken(description: "answers that lead to nothing")
    }

    // MARK: - Whose a reply is

    /// Commands and replies in the order of the bytes: each reply is the oldest command's.
    private static func pipelines(_ bytes: [UInt8], _ choice: UInt8) throws {
        var machine = PipelineMachine()
        var (sent, waiting, isOver) = (0, ArraySlice<Int>(), false)
        var now = NIODeadline.uptimeNanoseconds(1_000)
        for byte in bytes {
            switch byte % 8 {
            case 0, 1, 2, 3:
                let length = byte & 0x80 == 0 ? Int(byte) : RedisDefaults.bytesInFlight / 2
                let action = machine.sendRequested(
                    id: sent, length: length, deadline: now + .milliseconds(Int64(byte) * 10))
                switch action {
                case .refuse(let code):
                    try hold((code == .unavailable) == isOver, "\(code) of a connection that is over: \(isOver)")
                case .send, .sendAndWake: waiting.append(sent)
                }
                sent += 1
            case 4, 5:
                switch machine.replyReceived() {
                case .deliver(let id): try hold(id == waiting.popFirst() && !isOver, "the reply of another: \(id)")
                case .fail:
                    try hold(waiting.isEmpty && !isOver, "a reply of nobody")
                    isOver = true
                case .none: try hold(isOver, "a reply of nobody")
                }
            case 6:
                now = now + .milliseconds(Int64(byte) * 10)
                if case .fail(let late, let others) = machine.timeCame(now) {
                    try hold(
                        !late.isEmpty && (late + others).sorted() == Array(waiting), "\(late), \(others), \(waiting)")
                    (waiting, isOver) = ([], true)
                }
            default:
                guard choice & 4 != 0 else { continue }
                try hold(machine.closed() == Array(waiting), "others end than wait: \(waiting)")
                (waiting, isOver) = ([], true)
            }
            try hold(waiting.count <= RedisDefaults.commandsInFlight, "\(waiting.count) commands wait")
        }
    }

    // MARK: - What is believed

    private static func tickets(_ reply: RESPValue) throws {
        _ = (TicketScripts.read, TicketScripts.replace)
        guard let read = TicketReply(reply) else { return }
        try hold(read.now >= 0 && read.now.multipliedReportingOverflow(by: 1_000).overflow == false, "\(read.now)")
        guard let secret else { throw Broken(description: "the fixture is not one") }
        try hold(SealedTickets(secret).open(read.text) == nil, "a seal was guessed")
        for stored in [TicketDecision.Stored.nothing, .unreadable] {
            _ = TicketDecision(stored, current: nil, now: read.now)
        }
    }

    private static let secret = ClusterSecret(bytes: [UInt8](repeating: 7, count: 32))

    /// As it is, and with records that begin with `=` as a node has written them.
    private static func users(_ reply: RESPValue) throws {
        guard let secret, let bob = PeerName(rawValue: "bob"), let alice = PeerName(rawValue: "alice") else {
            throw Broken(description: "the fixture is not one")
        }
        let records = UserRecords(secret)
        for names in [[], [bob], [bob, alice]] {
            for isSigned in [false, true] {
                let reply = isSigned ? signed(reply, records, bob) : reply
                guard let (_, standings) = UserStanding.read(reply, names, records) else { continue }
                try hold(standings.count == names.count, "\(standings.count) standings of \(names.count) names")
                for (name, standing) in zip(names, standings) {
                    if case .owned(let user) = standing.finding {
                        try hold(isSigned && name == bob && user.name == bob, "\(user) owns \(name)")
                    }
                    if standing.finding == .removed { try hold(isSigned && name == bob, "\(name) is removed") }
                }
            }
        }
    }

    private static func signed(_ value: RESPValue, _ records: UserRecords, _ name: PeerName) -> RESPValue {
        switch value {
        case .array(let values): return .array(values.map { signed($0, records, name) })
        case .bulk, .simple:
            guard let text = value.text else { return value }
            if text == "=" { return .simple(records.removal(of: name)) }
            guard text.hasPrefix("="), let record = UserRecord(String(text.dropFirst())) else { return value }
            return .simple(records.text(of: record.user(name)))
        case .error, .integer, .null: return value
        }
    }

    /// What comes on a subscription, by which it is alive.
    private static func heartbeat(_ reply: RESPValue, _ choice: UInt8) throws {
        let nonce = reply.bytes.flatMap(HeartbeatText.nonce) ?? UInt64(choice)
        let again = HeartbeatText.nonce(ByteBuffer(string: HeartbeatText.text(nonce)))
        try hold(again == nonce, "\(nonce) is \(String(describing: again)) when it comes back")
        let timing = HeartbeatTiming()
        var machine = HeartbeatMachine(timing: timing)
        var now = NIODeadline.uptimeNanoseconds(1_000)
        try hold(machine.timerFired(now: now, nonce: 5) == .none, "a heart that beats before its time")
        _ = machine.started(now: now)
        var beats = 0
        for step in 0..<48 {
            switch (step + Int(choice)) % 4 {
            case 0: _ = machine.received(nonce, now: now)
            case 1: _ = machine.publishFailed(5, now: now)
            default:
                now = now + (choice & 8 == 0 ? timing.retry : timing.interval)
                let action = machine.timerFired(now: now, nonce: 5)
                if action == .dead {
                    let isOver = machine.timerFired(now: now + timing.timeout, nonce: 5) == .none
                    return try hold(beats > 0 && isOver, "a heart that stopped before it beat")
                }
                if case .publish(let own, let wake) = action {
                    try hold(own == 5 && wake > now, "another beat: \(own)")
                    beats += 1
                }
            }
        }
        machine.stopped()
        try hold(machine.received(5, now: now) == .none, "a heart that beats behind its end")
    }
}
