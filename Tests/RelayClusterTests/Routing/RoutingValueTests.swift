// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import NIOCore
import RedisTransport
import RelayNode
import RelayTestFixtures
import ServerSystem
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("Values in Redis")
struct RoutingValueTests {
    private let incarnation = Incarnation.random()

    @Test("sessions are read back, and nothing else is")
    func receiving() throws {
        let route = RouteValue.Receiving(incarnation: incarnation, sessions: [30, 1, 2])
        #expect(route.text == "\(incarnation) 1,2,30")
        #expect(RouteValue.Receiving(route.text)?.sessions == [1, 2, 30])
        let most = (0..<64).map { UInt64.max - $0 }
        let full = RouteValue.Receiving(incarnation: incarnation, sessions: most).text
        #expect(RouteValue.Receiving(full)?.sessions.count == 64)
        let wrong = [
            "", "\(incarnation)", "\(incarnation) ", " 1", "x 1", "\(incarnation) 1,", "\(incarnation) 1,1",
            "\(incarnation) -1", "\(incarnation) +1", "\(incarnation) 01", "\(incarnation) 18446744073709551616",
            "\(incarnation) 1 2", "\(incarnation)  1", full + ",1",
        ]
        for text in wrong { #expect(RouteValue.Receiving(text) == nil, "\(text)") }
    }

    @Test("a token's home is read back, and nothing else is")
    func home() {
        let home = RouteValue.Home(node: .test("a.b"), incarnation: incarnation)
        #expect(RouteValue.Home(home.text) == home)
        for text in ["", "a", "a ", " \(incarnation)", "a  \(incarnation)", "a \(incarnation) x", "a:b \(incarnation)"]
        {
            #expect(RouteValue.Home(text) == nil, "\(text)")
        }
    }

    @Test("a presence is read back, and nothing else is")
    func presence() throws {
        let presence = NodePresence(
            incarnation: incarnation, address: ListenAddress(host: "::1", port: 7), version: Label(clipping: "1.2"))
        let text = try #require(presence.text)
        let expected =
            #"{"address":"[::1]:7","incarnation":"\#(incarnation)","version":"1.2"}"#
        #expect(text == expected)
        #expect(NodePresence(text) == presence)
        var later = presence
        later.epoch = .random()
        #expect(try NodePresence(#require(later.text)) == later)
        let changes = [
            ("[::1]:7", "[::1]:0"), ("[::1]:7", "::1"), ("\(incarnation)", "x"), ("1.2", "ä"),
            ("\"version\"", "\"other\""),
        ]
        for (good, bad) in changes {
            #expect(NodePresence(text.replacing(good, with: bad)) == nil, "\(bad)")
        }
        for wrong in ["", "{}", "[]", "null", text + text, text + String(repeating: " ", count: 2048)] {
            #expect(NodePresence(wrong) == nil)
        }
    }

    @Test("replies of another form are refused")
    func replies() {
        let text = { (text: String) in RESPValue.bulk(ByteBuffer(string: text)) }
        let wrong: [RESPValue] = [
            .null, .integer(1), text("x"), .array([]), .array([.null, .null]), .array([text(""), .array([text("a")])]),
            .array([.integer(1), .array([])]), .array([.array([]), .array([]), .array([])]),
        ]
        for reply in wrong {
            #expect(RoutingReplies.Nodes(reply) == nil)
            #expect(RoutingReplies.Lookup(reply) == nil)
            #expect(RoutingReplies.Home(reply) == nil)
            #expect(RoutingReplies.Address(reply) == nil)
            #expect(PresenceOutcome(reply) == nil)
        }
        #expect(PresenceOutcome(.array([.integer(1), text("not an epoch"), .integer(1)])) == nil)
        let rival = PresenceOutcome(.array([.integer(0), text("x"), .integer(.max)]))
        #expect(rival == .taken("x", remaining: .hours(1)))
        let entries: [RESPValue] = [text("a"), text("nonsense"), .null, text("x"), text("b:c"), text("y")]
        let nodes = RoutingReplies.Nodes(.array([text("not an epoch"), .array(entries)]))
        #expect(nodes?.nodes.isEmpty == true && nodes?.ignored == 3 && nodes?.epoch == nil)
    }

    @Test("whatever stands in Redis is taken whole or not at all")
    func hostileValues() throws {
        let presence = NodePresence(
            incarnation: LinkSamples.incarnation(7), address: ListenAddress(host: "::1", port: 7),
            version: Label(clipping: "1.2"), epoch: Epoch(bytes: [UInt8](repeating: 8, count: 16))
        )
        let valid = [
            RouteValue.Receiving(incarnation: presence.incarnation, sessions: [1, 2, .max]).text,
            RouteValue.Home(node: .test("a.b"), incarnation: presence.incarnation).text,
            try #require(presence.text), UserRecord(User.test("bob")).text,
        ]
        for input in HostileInputs(damaging: valid, seed: 27, count: 8000) {
            let text = input.text
            if let route = RouteValue.Receiving(text) {
                #expect(RouteValue.Receiving(route.text)?.sessions == route.sessions.sorted(), "\(input)")
                #expect(Set(route.sessions).count == route.sessions.count, "\(input)")
            }
            if let home = RouteValue.Home(text) { #expect(RouteValue.Home(home.text) == home, "\(input)") }
            if let read = NodePresence(text) { #expect(read.text.flatMap(NodePresence.init) == read, "\(input)") }
            if let user = UserRecord(text) { #expect(UserRecord(user.text) == user, "\(input)") }
        }
    }

    /// Any process may have written it: to Redis, and to the registry's file.
    @Test("a record with a key of low order, or with one twice, is no user")
    func usersThatAreNone() throws {
        let (key, none) = (SigningKey.random().rawValue, String(repeating: "A", count: 43))
        func record(_ key: String, more: String = "") -> String { #"{"key":"\#(key)"\#(more)}"# }
        for (text, isUser) in [
            (record(key), true), (record(none), false), (record(key, more: #","exchangeKey":"\#(key)""#), true),
            (record(key, more: #","key":"\#(key)""#), false), (record(key, more: ","), false),
        ] {
            #expect((UserRecord(text) != nil) == isUser, "\(text)")
            let file = #"{"invitations":[],"users":[{"name":"bob",\#(text.dropFirst())],"version":1}"#
            #expect(((try? UserRegistry(fileContents: Data(file.utf8))) != nil) == isUser, "\(file)")
        }
    }

    @Test("no reply ends the process, or yields more than it holds")
    func hostileReplies() {
        var generator = SeededGenerator(seed: 28)
        for number in 0..<8000 {
            let reply = Self.value(depth: 0, using: &generator)
            let location: Comment = "reply \(number) of seed 28: \(reply)"
            if let nodes = RoutingReplies.Nodes(reply) { #expect(nodes.nodes.count + nodes.ignored <= 4, location) }
            if var read = RoutingReplies.Lookup(reply) {
                #expect(read.receivers(own: .test("a")).count <= 1 && read.homes(own: .test("a")).count <= 1, location)
            }
            _ = RoutingReplies.Home(reply)
            _ = RoutingReplies.Address(reply)
            if case .taken(_, let remaining)? = PresenceOutcome(reply) {
                #expect(remaining >= .zero && remaining <= .hours(1), location)
            }
            if let tickets = TicketReply(reply) { #expect(tickets.now >= 0, location) }
        }
    }

    /// A value as a reply may hold it, up to 6 wide and 3 deep; half of the texts are what some decoder waits for.
    private static func value(depth: Int, using generator: inout SeededGenerator) -> RESPValue {
        let incarnation = LinkSamples.incarnation(7)
        let texts = [
            "", "b", "bob", incarnation.rawValue, "b \(incarnation)", "\(incarnation) 1,2",
            #"{"address":"h:1","incarnation":"\#(incarnation)","version":"1"}"#, "{", "\u{FFFD}",
        ]
        switch Int.random(in: 0..<(depth < 3 ? 8 : 5), using: &generator) {
        case 0: return .null
        case 1: return .integer([.min, -1, 0, 1, 3_600_001, .max].randomElement(using: &generator) ?? 0)
        case 2: return .bulk(ByteBuffer(bytes: generator.bytes(.random(in: 0...8, using: &generator))))
        case 3, 4: return .bulk(ByteBuffer(string: texts.randomElement(using: &generator) ?? ""))
        default:
            let width = Int.random(in: 0...(depth == 0 ? 3 : 6), using: &generator)
            return .array((0..<width).map { _ in value(depth: depth + 1, using: &generator) })
        }
    }

    @Test("nodes that vanish are gone, unless Redis was just emptied")
    func table() {
        func presence(_ incarnation: Incarnation) -> NodePresence {
            NodePresence(
                incarnation: incarnation, address: ListenAddress(host: "h", port: 1), version: Label(clipping: "1"))
        }
        let (first, second) = (Incarnation.random(), Incarnation.random())
        let (a, b) = (NodeID.test("a"), NodeID.test("b"))
        var table = NodeTable(own: a)
        #expect(table.update([a: presence(first), b: presence(first)], isSettled: true).isEmpty)
        #expect(Array(table.nodes.keys) == [b])
        #expect(table.update([:], isSettled: false).isEmpty)
        #expect(table.nodes[b] != nil)
        #expect(table.update([b: presence(second)], isSettled: false) == [.init(node: b, incarnation: first)])
        #expect(table.nodes[b]?.incarnation == second)
        #expect(table.update([:], isSettled: true) == [.init(node: b, incarnation: second)])
        #expect(table.nodes.isEmpty)
    }

    @Test("an absent key means nothing in an epoch that is not known, or has just begun")
    func epochs() {
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
        let epoch = ClusterEpoch(settling: .seconds(6))
        let (first, second) = (Epoch.random(), Epoch.random())
        #expect(epoch.isSettled(first, now: now) && epoch.isSettled(nil, now: now))
        epoch.joined(first, now: now)
        #expect(epoch.isSettled(first, now: now))
        #expect(!epoch.isSettled(second, now: now) && !epoch.isSettled(nil, now: now))
        epoch.joined(second, now: now)
        epoch.joined(second, now: now + .seconds(5))
        #expect(!epoch.isSettled(second, now: now + .seconds(5)))
        #expect(epoch.isSettled(second, now: now + .seconds(6)))
        // Another process may lack the last of it, in the same epoch.
        epoch.mayLack(now: now + .seconds(20))
        #expect(!epoch.isSettled(second, now: now + .seconds(25)))
        #expect(epoch.isSettled(second, now: now + .seconds(26)))
        // There is nothing to lack for a node that has seen nothing yet.
        let fresh = ClusterEpoch(settling: .seconds(6))
        fresh.mayLack(now: now)
        fresh.joined(first, now: now)
        #expect(fresh.isSettled(first, now: now))
    }

    @Test("of each kind one lookup is under way")
    func lookups() {
        var lookups = LookupQueue()
        let names = (0..<150).map { PeerName.test("name\($0)") }
        for name in names + names { lookups.addReceivers(of: name) }
        lookups.addNodes()
        lookups.addNodes()
        lookups.addUser(names[0])
        lookups.addUser(names[1])
        #expect(Set(lookups.next()) == [.receivers(Array(names[..<100])), .nodes, .users([names[0], names[1]])])
        #expect(lookups.next().isEmpty)
        lookups.addNodes()
        lookups.failed(.nodes)
        lookups.succeeded(.receivers([]))
        lookups.succeeded(.users([]))
        #expect(Set(lookups.next()) == [.receivers(Array(names[100...])), .nodes])
    }

    @Test("a full cache forgets the user that was seen first")
    func cache() {
        var cache = UserCache(capacity: 2)
        let users = ["a", "b", "c"].map { User.test($0) }
        for user in users { cache[user.name] = user }
        #expect(cache[users[0].name] == nil && cache[users[1].name] == users[1] && cache.all.count == 2)
        cache[users[1].name] = nil
        #expect(cache.all == [users[2]])
    }
}
