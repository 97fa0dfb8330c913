// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import TransferBroker

/// Requests on one node: who hears them, who may answer, and how they end.
@Suite struct PullRequestTests {
    private var fixture = BrokerFixture()

    /// A session of alice's, which is 1 and receives nothing, and one of bob's that shares.
    private mutating func both() -> (alice: SessionID, bob: SessionID) {
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob", receiving: false)
        fixture.share(bob)
        return (alice, bob)
    }

    @Test mutating func aRequestReachesTheSessionsThatShareAndNoOthers() throws {
        let (alice, bob) = both()
        let desktop = fixture.open("bob", receiving: false)
        fixture.share(desktop)
        _ = fixture.open("bob", receiving: true)
        let carol = fixture.open("carol", receiving: false)
        fixture.share(carol)
        let (request, actions) = fixture.request(alice, of: "bob")
        #expect(summary(actions) == ["1:ok", "2:requested", "3:requested"])
        guard case .send(bob, .requested(let heard))? = actions.dropFirst().first else { throw Missing() }
        let user = BrokerFixture.user("alice")
        #expect(heard.request == request && heard.payload == BrokerFixture.payload)
        #expect(heard.from == user.name && heard.key == user.key)
        fixture.share(bob, false)
        #expect(summary(fixture.request(alice, of: "bob").1) == ["1:ok", "3:requested"])
        _ = fixture.handle(.sessionClosed(desktop))
        #expect(summary(fixture.request(alice, of: "bob").1) == ["1:ok"])
    }

    /// What the one who asks is told is the same, whatever there is of the name.
    @Test mutating func aRequesterCannotTellWhetherANameShares() {
        let alice = fixture.open("alice", receiving: false)
        func told(_ actions: [BrokerAction]) -> [ServerMessage] {
            actions.compactMap { if case .send(alice, let message) = $0 { message } else { nil } }
        }
        var answers = [told(fixture.request(alice, of: "bob").1)]
        let bob = fixture.open("bob")
        answers.append(told(fixture.request(alice, of: "bob").1))
        fixture.share(bob)
        answers.append(told(fixture.request(alice, of: "bob").1))
        #expect(answers.allSatisfy { $0.count == 1 && $0[0].kind == .ok })
        for session in [alice, bob] {
            let away = fixture.request(session, of: "bob", elsewhere: .unknown).1
            #expect(summary(away) == ["\(session.number):error.cluster_unavailable"])
            let unknown = fixture.request(session, of: "carol", elsewhere: .unknown).1
            #expect(summary(unknown) == ["\(session.number):error.cluster_unavailable"])
        }
    }

    @Test mutating func ofOnesOwnNameTheOtherSessionsHearIt() {
        let laptop = fixture.open("bob", receiving: false)
        let desktop = fixture.open("bob", receiving: false)
        fixture.share(laptop)
        fixture.share(desktop)
        #expect(summary(fixture.request(laptop, of: "bob").1) == ["1:ok", "2:requested"])
    }

    @Test mutating func anOfferThatAnswersRingsTheOneWhoAskedAlone() throws {
        let (alice, bob) = both()
        let phone = fixture.open("alice", receiving: true)
        let (request, _) = fixture.request(alice, of: "bob")
        let (transfer, actions) = fixture.answer(request, of: "alice", by: bob)
        #expect(summary(actions) == ["2:ringing", "1:ring"])
        guard case .send(alice, .ring(let ring))? = actions.first(where: { $0.isRing }) else { throw Missing() }
        #expect(ring.request == request && ring.transfer == transfer)
        // A session that begins to receive is not rung for it.
        #expect(summary(fixture.ask(alice) { .presence(.init(id: $0, receiving: true)) }) == ["1:ok"])
        #expect(summary(fixture.accept(phone, transfer)) == ["3:error.unknown_transfer"])
        #expect(summary(fixture.accept(alice, transfer)) == ["1:start", "2:accepted"])
        // Another may answer it as well.
        let desktop = fixture.open("bob", receiving: false)
        #expect(summary(fixture.answer(request, of: "alice", by: desktop).1) == ["4:ringing", "1:ring"])
    }

    @Test mutating func anOfferWithoutARequestDoesNotRingTheOneWhoAsked() {
        let (alice, bob) = both()
        _ = fixture.request(alice, of: "bob")
        #expect(summary(fixture.offer(bob, to: "alice").1) == ["2:waiting"])
        #expect(summary(fixture.offer(bob, to: "alice", wait: false).1) == ["2:error.peer_offline"])
    }

    /// Another asked, another is to answer, another id; and the same when it is over in any way.
    @Test mutating func whatIsNotOpenIsNotAnswered() {
        let (alice, bob) = both()
        let carol = fixture.open("carol", receiving: true)
        let unknown = ["2:error.unknown_request"]
        func answered(_ request: PullRequestID) -> [String] {
            summary(fixture.answer(request, of: "alice", by: bob).1)
        }
        #expect(answered(.random()) == unknown)
        let (request, _) = fixture.request(alice, of: "bob")
        #expect(summary(fixture.answer(request, of: "carol", by: bob).1) == unknown)
        #expect(summary(fixture.answer(request, of: "alice", by: carol).1) == ["3:error.unknown_request"])
        #expect(summary(fixture.refuse(request, of: "alice", by: carol)) == ["3:ok"])
        #expect(summary(fixture.refuse(request, of: "carol", by: bob)) == ["2:ok"])
        #expect(answered(request) == ["2:ringing", "1:ring"])
        #expect(summary(fixture.withdraw(request, by: alice)) == ["1:ok"])
        #expect(answered(request) == unknown && summary(fixture.refuse(request, of: "alice", by: bob)) == ["2:ok"])
        #expect(summary(fixture.withdraw(request, by: alice)) == ["1:ok"])

        let (late, _) = fixture.request(alice, of: "bob")
        fixture.now = fixture.now + .minutes(10) - .nanoseconds(1)
        _ = fixture.handle(.timerFired)
        #expect(answered(late) == ["2:ringing", "1:ring"])
        fixture.now = fixture.now + .nanoseconds(1)
        _ = fixture.handle(.timerFired)
        #expect(answered(late) == unknown)

        let (left, _) = fixture.request(alice, of: "bob")
        _ = fixture.handle(.sessionClosed(alice))
        #expect(answered(left) == unknown)
        #expect(fixture.broker.snapshot.openRequests.isEmpty && fixture.broker.status.requests == 0)
    }

    @Test mutating func anAnswerNeverWaits() {
        let (alice, bob) = both()
        let (request, _) = fixture.request(alice, of: "bob")
        let (transfer, _) = fixture.answer(request, of: "alice", by: bob)
        #expect(summary(fixture.handle(.sessionClosed(alice))) == ["2:failed.unknown_request"])
        #expect(fixture.broker.snapshot.transfers[transfer] == nil)
        // One who has withdrawn may still take or leave what rings already.
        let phone = fixture.open("alice", receiving: false)
        let (second, _) = fixture.request(phone, of: "bob")
        let (other, _) = fixture.answer(second, of: "alice", by: bob)
        _ = fixture.withdraw(second, by: phone)
        let decline = fixture.ask(phone) { .decline(.init(id: $0, transfer: other, code: .protocolError)) }
        #expect(summary(decline) == ["3:ok", "2:failed.protocol_error"])
    }

    @Test mutating func aRefusalIsToldWithItsCodeAndEndsNothing() throws {
        let (alice, bob) = both()
        let (request, _) = fixture.request(alice, of: "bob")
        for code in FailureCode.allCases {
            let actions = fixture.refuse(request, of: "alice", by: bob, code)
            #expect(
                summary(actions)
                    == (code.isClients ? ["2:ok", "1:refused.\(code.rawValue)"] : ["2:error.bad_message"]), "\(code)")
        }
        #expect(summary(fixture.answer(request, of: "alice", by: bob).1) == ["2:ringing", "1:ring"])
    }

    /// Ids are clients' choice: another's request of the same id is another's.
    @Test mutating func equalIDsOfSeveralSessionsAreKeptApart() {
        let (alice, bob) = both()
        let carol = fixture.open("carol", receiving: false)
        let request = PullRequestID.random()
        for (session, number) in [(alice, 1), (carol, 3)] {
            #expect(summary(fixture.request(session, of: "bob", request).1) == ["\(number):ok", "2:requested"])
        }
        #expect(summary(fixture.request(alice, of: "bob", request).1) == ["1:error.request_exists"])
        #expect(summary(fixture.answer(request, of: "alice", by: bob).1) == ["2:ringing", "1:ring"])
        _ = fixture.withdraw(request, by: carol)
        #expect(summary(fixture.answer(request, of: "carol", by: bob).1) == ["2:error.unknown_request"])
        #expect(summary(fixture.answer(request, of: "alice", by: bob).1) == ["2:ringing", "1:ring"])
        // Withdrawn, the id may be used again, and its first deadline is not the second one's.
        _ = fixture.withdraw(request, by: alice)
        fixture.now = fixture.now + .minutes(9)
        #expect(summary(fixture.request(alice, of: "bob", request).1) == ["1:ok", "2:requested"])
        fixture.now = fixture.now + .minutes(1)
        _ = fixture.handle(.timerFired)
        #expect(summary(fixture.answer(request, of: "alice", by: bob).1) == ["2:ringing", "1:ring"])
    }

    @Test mutating func whoIsNotKnownOrCannotBeServedNowIsToldSo() {
        let (alice, _) = both()
        let name = PeerName.test("nobody")
        func asked(_ found: LookupResult?) -> [String] {
            let actions = fixture.ask(alice, found: found) {
                .request(.init(id: $0, request: .random(), to: name, payload: BrokerFixture.payload))
            }
            return summary(actions)
        }
        #expect(asked(LookupResult(user: nil, elsewhere: .none)) == ["1:error.unknown_peer"])
        #expect(asked(nil) == ["1:error.unavailable"])
        _ = fixture.handle(.memoryChanged(isShort: true))
        #expect(summary(fixture.request(alice, of: "bob").1) == ["1:error.unavailable"])
        _ = fixture.handle(.memoryChanged(isShort: false))
        _ = fixture.handle(.drainBegun)
        #expect(summary(fixture.request(alice, of: "bob").1) == ["1:error.draining"])
        #expect(summary(fixture.request(alice, of: "carol").1) == ["1:error.draining"])
    }

    private static let many = Holding(sessions: 100, offers: 100, accepts: 100, waitingBytes: 1_000_000, requests: 100)

    @Test(arguments: [Limit.Scope.session, .user, .address, .node])
    func thereAreSoManyAndNoMore(_ scope: Limit.Scope) throws {
        var fixture = BrokerFixture {
            $0.user = Self.many
            $0.address = Self.many
            $0.requestsPerSession = scope == .session ? 4 : 100
            if scope == .user { $0.user.requests = 4 }
            if scope == .address { $0.address?.requests = 4 }
            if scope == .node { $0.openRequests = 4 }
        }
        let there = "192.0.2.1"
        let names = scope == .address ? ["alice", "carol"] : ["alice", "alice"]
        let sessions = names.map { fixture.open($0, receiving: false, at: there) }
        var requests: [PullRequestID] = []
        for round in 0..<4 {
            let session = scope == .session ? sessions[0] : sessions[round % 2]
            let (request, actions) = fixture.request(session, of: "bob")
            #expect(summary(actions) == ["\(session.number):ok"])
            if session == sessions[0] { requests.append(request) }
        }
        let code = scope == .node ? "unavailable" : "too_many_requests"
        let actions = fixture.request(sessions[0], of: "bob").1
        #expect(summary(actions) == ["1:error.\(code)"])
        #expect(actions.contains(.limitMet(Limit(.requests, of: scope), Owner(name: .test("alice"), address: there))))
        guard case .send(_, .error(let refusal))? = actions.first else { throw Missing() }
        #expect(refusal.message.contains("as many open requests as there may be"))
        let free = fixture.open("dave", receiving: false, at: "192.0.2.2")
        #expect(summary(fixture.request(free, of: "bob").1) == [scope == .node ? "3:error.unavailable" : "3:ok"])
        // Each way in which one ends makes room for one.
        _ = fixture.withdraw(requests[0], by: sessions[0])
        #expect(summary(fixture.request(sessions[0], of: "bob").1) == ["1:ok"])
        _ = fixture.handle(.sessionClosed(scope == .session ? free : sessions[1]))
        if scope != .session { #expect(summary(fixture.request(sessions[0], of: "bob").1) == ["1:ok"]) }
        fixture.now = fixture.now + .minutes(10)
        _ = fixture.handle(.timerFired)
        #expect(fixture.broker.status.requests == 0)
        #expect(summary(fixture.request(sessions[0], of: "bob").1) == ["1:ok"])
        for session in sessions + [free] { _ = fixture.handle(.sessionClosed(session)) }
        #expect(fixture.broker.snapshot.holdsNothing && fixture.broker.snapshot.openRequests.isEmpty)
    }

    /// Who was asked cannot use the request to ring without an end.
    @Test func soManyOffersRingTheOneWhoAsked() {
        var fixture = BrokerFixture {
            $0.offersPerRecipient = 1
            $0.transfersPerSession = 2
        }
        let alice = fixture.open("alice", receiving: false)
        let sessions = (0..<2).map { _ in fixture.open("bob", receiving: false) }
        fixture.share(sessions[0])
        let (request, _) = fixture.request(alice, of: "bob")
        for session in [sessions[0], sessions[0], sessions[1]] {
            #expect(summary(fixture.answer(request, of: "alice", by: session).1).last == "1:ring")
        }
        #expect(summary(fixture.answer(request, of: "alice", by: sessions[1]).1) == ["3:error.too_many_transfers"])
    }

    /// The entries of the deadlines' queue do not pile up behind requests that are withdrawn.
    @Test mutating func deadlinesDoNotPileUp() {
        let (alice, _) = both()
        for _ in 0..<1_000 {
            let (request, _) = fixture.request(alice, of: "bob")
            _ = fixture.withdraw(request, by: alice)
        }
        #expect(fixture.broker.snapshot.requests.deadlines.count <= 66)
    }
}

/// Requests between nodes.
@Suite struct PullRequestsAcrossNodesTests {
    private var network = BrokerNetwork()
    private let a = NodeID.test("a")
    private let b = NodeID.test("b")
    private let c = NodeID.test("c")

    private mutating func all() -> (alice: SessionID, laptop: SessionID, desktop: SessionID) {
        let alice = network.open("alice", at: a, receiving: false)
        let laptop = network.open("bob", at: b, receiving: false)
        let desktop = network.open("bob", at: c, receiving: false)
        for session in [laptop, desktop] { network.share(session) }
        return (alice, laptop, desktop)
    }

    /// A request of alice's that all have heard.
    private mutating func heard() -> (alice: SessionID, laptop: SessionID, request: PullRequestID) {
        let (alice, laptop, _) = all()
        let request = network.request(alice, of: "bob")
        network.settle()
        return (alice, laptop, request)
    }

    /// A request is over, and the news is on its way: an offer that crosses it is told so, and nothing is left.
    private mutating func expectOver(_ request: PullRequestID, toldTo laptop: SessionID) {
        _ = network.answer(request, of: "alice", by: laptop)
        #expect(network.summary(laptop).last == "ringing")
        network.settle()
        #expect(network.summary(laptop).last == "failed.unknown_request")
        for node in network.nodes.values { #expect(node.snapshot.openRequests.isEmpty) }
    }

    @Test mutating func sharersOnAllNodesHearAndEachMayAnswer() {
        let (alice, laptop, desktop) = all()
        let phone = network.open("alice", at: b, receiving: true)
        let request = network.request(alice, of: "bob")
        network.settle()
        #expect(network.summary(alice) == ["welcome", "ok"])
        for session in [laptop, desktop] { #expect(network.summary(session) == ["welcome", "ok", "requested"]) }
        network.refuse(request, of: "alice", by: desktop)
        let transfer = network.answer(request, of: "alice", by: laptop)
        network.settle()
        #expect(Set(network.summary(alice)) == ["welcome", "ok", "refused.not_shared", "ring"])
        #expect(network.summary(desktop).last == "ok" && network.summary(laptop).last == "ringing")
        #expect(network.summary(phone) == ["welcome", "ok"])
        for case .ring(let ring) in network.said[alice] ?? [] { #expect(ring.request == request) }
        network.accept(alice, transfer)
        network.settle()
        #expect(network.summary(alice).last == "start" && network.summary(laptop).last == "accepted")
    }

    @Test mutating func aRequestThatIsOverIsOverOnAllNodes() {
        let (alice, laptop, request) = heard()
        network.withdraw(request, by: alice)
        network.settle()
        _ = network.answer(request, of: "alice", by: laptop)
        #expect(network.summary(laptop).last == "error.unknown_request")
        let other = network.request(alice, of: "bob")
        network.settle()
        network.handle(.sessionClosed(alice), at: a)
        expectOver(other, toldTo: laptop)
    }

    @Test mutating func timeEndsItOnAllNodes() {
        let (_, laptop, request) = heard()
        network.now = network.now + .minutes(10)
        network.handle(.timerFired, at: a)
        expectOver(request, toldTo: laptop)
    }

    @Test mutating func aLostNodeTakesItsRequestsWithIt() {
        let (_, laptop, request) = heard()
        network.restart(a)
        _ = network.answer(request, of: "alice", by: laptop)
        #expect(network.summary(laptop).last == "error.unknown_request")
        for node in network.nodes.values { #expect(node.snapshot.openRequests.isEmpty) }
    }

    /// What a node says about a session of another's is of no use, unless that session has asked for it.
    @Test mutating func onlyTheNameThatWasAskedRingsOrRefuses() {
        let (alice, _, _) = all()
        let request = network.request(alice, of: "bob")
        network.settle()
        let transfer = TransferID.random()
        func tell(_ notice: SessionNotice) {
            network.handle(.messageReceived(.notice(session: alice.number, notice), from: c), at: a)
        }
        let (mallory, name) = (BrokerFixture.user("mallory"), BrokerFixture.user("alice").name)
        tell(.ring(transfer, from: mallory, to: name, BrokerFixture.payload, answers: request))
        tell(.ring(transfer, from: BrokerFixture.user("bob"), to: name, BrokerFixture.payload, answers: .random()))
        tell(.ring(transfer, from: BrokerFixture.user("bob"), to: name, BrokerFixture.payload))
        tell(.refused(request, by: mallory.name, .notShared))
        tell(.refused(.random(), by: BrokerFixture.user("bob").name, .notShared))
        #expect(network.summary(alice) == ["welcome", "ok"])
        let left = network.links[BrokerNetwork.Link(from: a, to: c)] ?? []
        #expect(left.map { summary($0) } == Array(repeating: "\(alice.number).left", count: 3))
    }

    @Test mutating func aNodeThatStopsOrHasAsMuchAsItMayLetsRequestsDrop() {
        var limits = Defaults.Broker.limits
        limits.openRequests = 1
        network.nodes[c] = Broker(node: c, limits: limits)
        let (alice, laptop, desktop) = all()
        _ = network.request(alice, of: "bob")
        _ = network.request(alice, of: "bob")
        network.handle(.drainBegun, at: b)
        network.settle()
        #expect(network.summary(laptop) == ["welcome", "ok"])
        #expect(network.summary(desktop) == ["welcome", "ok", "requested"])
        #expect(network.summary(alice) == ["welcome", "ok", "ok"])
    }
}

/// Something that should have been said was not.
private struct Missing: Error {}

extension BrokerAction {
    fileprivate var isRing: Bool { if case .send(_, .ring) = self { true } else { false } }
}
