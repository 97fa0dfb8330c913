// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import TLSTransport
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

/// Links between nodes of one process, over real sockets and with real certificates.
@Suite(.timeLimit(.minutes(5))) struct NodeLinksTests {
    private let book = TestBook()
    /// Losses come soon, so that tests that wait for one do not take long.
    private static let hasty = LinkTiming(loss: .milliseconds(400))

    /// A node that loses no other because time passes: where a loss is wrong, a machine that stands still for some
    /// seconds must not cause one.
    private func patient(_ name: String) async throws -> TestNode {
        try await TestNode(
            name, book, timing: LinkTiming(loss: .hours(1)),
            heartbeat: .init(interval: .hours(1), answerWithin: .hours(1)))
    }

    @Test func threeNodesTalkInAllDirections() async throws {
        let nodes = [try await patient("a"), try await patient("b"), try await patient("c")]
        for node in nodes {
            for other in nodes where other.id != node.id {
                node.send(1, to: other.id)
                #expect(await other.hears(1, from: node))
                node.send(2, to: other.id)
                #expect(await other.hears(2, from: node))
            }
        }
        for node in nodes {
            #expect(node.links.status.outbound == 2)
            #expect(node.links.status.inbound == 2)
            #expect(node.links.status.lost == 0)
        }
        for node in nodes { try await node.stop() }
    }

    @Test func messagesArriveOnceAndInOrderOverConnectionsThatAreCut() async throws {
        let (a, b) = (try await patient("a"), try await patient("b"))
        let network = try await TestForwarder(to: b.address.port)
        book.set(b.id, b.address(port: network.port))
        let (rounds, batch) = (UInt64(12), UInt64(200))
        var heard: UInt64 = 0
        for round in 0..<rounds {
            for number in 1...batch { a.send(round * batch + number, to: b.id) }
            // Somewhere in the middle of the batch.
            for _ in 0..<(round * 16) {
                heard += 1
                guard await b.hears(heard, from: a) else {
                    Issue.record("not number \(heard)")
                    break
                }
            }
            network.cut()
        }
        while heard < rounds * batch {
            heard += 1
            guard await b.hears(heard, from: a) else {
                Issue.record("not number \(heard)")
                break
            }
        }
        #expect(a.links.status.lost == 0)
        #expect(b.links.status.lost == 0)
        try await network.stop()
        try await a.stop()
        try await b.stop()
    }

    @Test func aNodeOfAnotherAuthorityGetsNothing() async throws {
        let a = try await TestNode("a", book, timing: Self.hasty)
        let stranger = try await TestNode("b", book, certificates: TestCertificates(nodes: ["b"]))
        // Until a handshake has come so far: it may be slower than the loss.
        repeat {
            a.send(1, to: stranger.id)
            #expect(await a.inbox.next() == .lost(stranger.id))
        } while a.links.status.refusedCertificates == 0
        #expect(stranger.inbox.messages.withLock { $0 } == 0)
        try await a.stop()
        try await stranger.stop()
    }

    /// TLS compares names without regard to case; a node's id has one.
    @Test(arguments: ["b", "C"]) func aNodeOfAnotherNameGetsNothing(wanted: String) async throws {
        let (a, c) = (try await TestNode("a", book, timing: Self.hasty), try await TestNode("c", book))
        let b = NodeID(rawValue: wanted)!
        book.set(b, c.address)
        repeat {
            a.send(1, to: b)
            #expect(await a.inbox.next() == .lost(b))
        } while a.links.status.refusedCertificates == 0
        #expect(c.inbox.messages.withLock { $0 } == 0)
        #expect(c.links.status.inbound == 0)
        try await a.stop()
        try await c.stop()
    }

    @Test func aCallerWithoutACertificateOfTheClusterIsRefused() async throws {
        let b = try await TestNode("b", book)
        let (files, others) = (try TestNode.certificates, try TestCertificates(nodes: ["a"]))
        let contexts: [TLSContext] = [
            try .client(trust: .file(files.ca), applicationProtocols: []),
            try .client(
                trust: .file(files.ca), certificateChain: others.node("a"), privateKey: others.nodeKey("a"),
                applicationProtocols: []),
            try .client(
                trust: .file(files.ca), certificateChain: files.server, privateKey: files.serverKey,
                applicationProtocols: []),
            try .client(
                trust: .file(files.ca), certificateChain: try files.expired(), privateKey: files.serverKey,
                applicationProtocols: []),
        ]
        for context in contexts {
            #expect(try await TestCaller.handshake(with: context, to: b)?.code == .refusedByPeer)
        }
        // The client is told before the count is made.
        while b.links.status.refusedCertificates < contexts.count { await Task.yield() }
        try await b.stop()
        #expect(b.links.status.inbound == 0)
    }

    @Test func aHelloInTheNameOfAnotherNodeIsRefused() async throws {
        let (b, c) = (try await TestNode("b", book), try await TestNode("c", book))
        let hello = #"{"hello":{"node":"a","incarnation":"AAAAAAAAAAAAAAAAAAAAAA","to":"b","association":1}}"#
        #expect(try await TestCaller.link(to: b, as: c.identity, saying: [hello]) == [])
        try await b.stop()
        #expect(b.links.status.refusedCertificates == 1)
        #expect(b.links.status.inbound == 0)
        try await c.stop()
    }

    @Test(arguments: [
        ["garbage"], [#"{"ack":1}"#], [#"{"seq":1,"body":{"ok":{"session":1,"request":"x"}}}"#],
        ["HELLO", "garbage"], ["HELLO", "HELLO"], ["HELLO", #"{"seq":2,"body":{"ok":{"session":1,"request":"x"}}}"#],
        ["HELLO", #"{"seq":1,"body":{"nonsense":{}}}"#], ["HELLO", #"{"welcome":{"node":"a","received":0}}"#],
    ])
    func aCallerThatBreaksTheRulesIsDisconnected(texts: [String]) async throws {
        let (b, c) = (try await TestNode("b", book), try await TestNode("c", book))
        let hello = #"{"hello":{"node":"c","incarnation":"AAAAAAAAAAAAAAAAAAAAAA","to":"b","association":1}}"#
        let frames = try await TestCaller.link(
            to: b, as: c.identity, saying: texts.map { $0 == "HELLO" ? hello : $0 })
        // The welcome may come too late for a caller that breaks a rule at once.
        #expect(frames.count <= (texts.first == "HELLO" ? 1 : 0))
        try await b.stop()
        #expect(b.links.status.violations == 1)
        #expect(b.inbox.messages.withLock { $0 } == 0)
        try await c.stop()
    }

    @Test func aNodeThatWasStartedAgainIsLostAndThenReached() async throws {
        let a = try await TestNode("a", book)
        let first = try await TestNode("b", book)
        a.send(1, to: first.id)
        #expect(await first.hears(1, from: a))
        let second = try await TestNode("b", book)
        try await first.stop()
        #expect(await a.inbox.next() == .lost(first.id))
        a.send(2, to: second.id)
        #expect(await second.hears(2, from: a))
        try await a.stop()
        try await second.stop()
    }

    @Test func anotherProcessUnderTheSameAddressGetsNothingOfTheOld() async throws {
        let (a, b) = (try await TestNode("a", book), try await TestNode("b", book))
        var stale = b.address
        stale.incarnation = LinkSamples.incarnation(9)
        book.set(b.id, stale)
        a.send(1, to: b.id)
        #expect(await a.inbox.next() == .lost(b.id))
        book.set(b.id, b.address)
        a.send(2, to: b.id)
        #expect(await b.hears(2, from: a))
        try await a.stop()
        try await b.stop()
    }

    @Test func aCallerThatWasStartedAgainIsLostToo() async throws {
        let b = try await TestNode("b", book)
        let first = try await TestNode("a", book)
        first.send(1, to: b.id)
        #expect(await b.hears(1, from: first))
        try await first.stop()
        let second = try await TestNode("a", book)
        second.send(2, to: b.id)
        #expect(await b.inbox.next() == .lost(first.id))
        #expect(await b.hears(2, from: second))
        try await second.stop()
        try await b.stop()
    }

    @Test func aNodeThatNeverAnswersIsLost() async throws {
        let a = try await TestNode("a", book, timing: Self.hasty)
        let silent = try await TestForwarder(to: nil)
        book.set(
            LinkSamples.b, NodeAddress(host: "127.0.0.1", port: silent.port, incarnation: LinkSamples.incarnation(2)))
        a.send(1, to: LinkSamples.b)
        #expect(await a.inbox.next() == .lost(LinkSamples.b))
        try await silent.stop()
        try await a.stop()
    }

    @Test func aRefusedPortAndAnUnknownNodeAreLostAtOnce() async throws {
        // Much longer than the test may take.
        let a = try await TestNode("a", book, timing: LinkTiming(loss: .hours(1)))
        let b = try await TestNode("b", book)
        try await b.stop()
        a.send(1, to: b.id)
        #expect(await a.inbox.next() == .lost(b.id))
        a.send(2, to: NodeID(rawValue: "unknown")!)
        #expect(await a.inbox.next() == .lost(NodeID(rawValue: "unknown")!))
        try await a.stop()
    }

    @Test func aNodeThatStopsReadingIsLostWhenTooMuchWaits() async throws {
        let a = try await TestNode("a", book, timing: LinkTiming(loss: .hours(1), unackedMessages: 100))
        let b = try await TestNode("b", book)
        let network = try await TestForwarder(to: b.address.port)
        book.set(b.id, b.address(port: network.port))
        a.send(1, to: b.id)
        #expect(await b.hears(1, from: a))
        try await network.freeze()
        for number in 2...UInt64(150) { a.send(number, to: b.id) }
        #expect(await a.inbox.next() == .lost(b.id))
        try await network.stop()
        try await a.stop()
        try await b.stop()
    }

    @Test func aHintAboutAConnectedNodeChangesNothing() async throws {
        let (a, b) = (try await patient("a"), try await patient("b"))
        a.send(1, to: b.id)
        #expect(await b.hears(1, from: a))
        a.links.presenceGone(b.id, incarnation: b.identity.incarnation)
        b.links.presenceGone(a.id, incarnation: a.identity.incarnation)
        a.send(2, to: b.id)
        #expect(await b.hears(2, from: a))
        #expect(a.links.status.lost == 0)
        try await a.stop()
        try await b.stop()
    }

    @Test func theListenerHasTwoResources() async throws {
        let (b, c) = (try await TestNode("b", book), try await TestNode("c", book))
        let body = "PUT /stream HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc"
        for (request, status) in [
            (body, "200"), ("GET /ws HTTP/1.1\r\nHost: b\r\n\r\n", "404"),
            ("GET /healthz HTTP/1.1\r\nHost: b\r\n\r\n", "404"),
            ("PUT /link HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n", "404"),
            ("GET /stream HTTP/1.1\r\nHost: b\r\n\r\n", "404"), ("GET /link HTTP/1.1\r\nHost: b\r\n\r\n", "426"),
            ("PUT /stream HTTP/1.1\r\nHost: b\r\n\r\n", "411"), ("nonsense\r\n\r\n", "400"),
        ] {
            let answer = try await TestCaller.request(request, of: b, as: c.identity)
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(request)")
        }
        #expect(b.streams.accepted.withLock { $0 } == ["c /stream abc"])
        try await b.stop()
        try await c.stop()
    }
}
