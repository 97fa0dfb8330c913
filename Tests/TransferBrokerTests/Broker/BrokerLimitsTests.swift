// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import TransferBroker

@Suite struct BrokerLimitsTests {
    @Test func sessionsPerName() {
        var fixture = BrokerFixture { $0.user.sessions = 2 }
        let first = fixture.open("alice")
        _ = fixture.open("alice")
        let third = SessionID(node: .alone, number: 9)
        let open = BrokerEvent.sessionOpened(third, BrokerFixture.user("alice"), .unknown)
        #expect(summary(fixture.handle(open)) == ["9:error.too_many_sessions", "9:close.4401"])
        #expect(summary(fixture.ask(third) { .presence(.init(id: $0, receiving: true)) }).isEmpty)
        _ = fixture.handle(.sessionClosed(first))
        #expect(summary(fixture.handle(open)) == ["9:welcome"])
    }

    @Test func anAllowanceIsOfOneUser() {
        var fixture = BrokerFixture()
        let alice = fixture.open("alice", receiving: false)
        let carol = fixture.open("carol", receiving: false)
        _ = fixture.open("bob")
        _ = fixture.handle(.allowanceChanged(.test("alice"), Holding([.offers: 1, .connections: 1])))
        let (first, _) = fixture.offer(alice, to: "bob")
        let refused = fixture.offer(alice, to: "bob").1
        #expect(summary(refused) == ["1:error.too_many_transfers"])
        let sentence = "alice has, on all connections together, as many unanswered offers as there may be (1): "
        guard case .send(_, .error(let error))? = refused.first else {
            Issue.record("\(refused)")
            return
        }
        #expect(error.message == sentence + "wait until some of them are answered")
        #expect(summary(fixture.offer(carol, to: "bob").1) != ["2:error.too_many_transfers"])
        // Once it is accepted, it does not wait any more.
        _ = fixture.accept(SessionID(node: .alone, number: 3), first)
        #expect(summary(fixture.offer(alice, to: "bob").1) != ["1:error.too_many_transfers"])
        _ = fixture.handle(.allowanceChanged(.test("alice"), nil))
        #expect(summary(fixture.offer(alice, to: "bob").1) != ["1:error.too_many_transfers"])
    }

    @Test func anOperatorEndsSessionsAndTransfers() {
        var fixture = BrokerFixture()
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let (transfer, _) = fixture.offer(alice, to: "bob")
        let told = summary(fixture.handle(.transferStopped(transfer)))
        #expect(told.contains("1:failed.ended_by_operator") && told.contains("2:failed.ended_by_operator"), "\(told)")
        #expect(fixture.handle(.transferStopped(transfer)).isEmpty)
        #expect(summary(fixture.handle(.sessionEnded(alice))) == ["1:error.ended_by_operator", "1:close.4403"])
        #expect(summary(fixture.handle(.nameDisabled(.test("bob")))) == ["2:error.account_disabled", "2:close.4401"])
        _ = bob
    }

    @Test func transfersOfASession() {
        var fixture = BrokerFixture { $0.transfersPerSession = 2 }
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let carol = fixture.open("carol", receiving: false)
        let transfers = (0..<2).map { _ in fixture.offer(alice, to: "bob").0 }
        #expect(summary(fixture.offer(alice, to: "bob").1) == ["1:error.too_many_transfers"])
        for transfer in transfers { _ = fixture.accept(bob, transfer) }
        let (third, _) = fixture.offer(carol, to: "bob")
        #expect(summary(fixture.accept(bob, third)) == ["2:error.too_many_transfers"])
        _ = fixture.stream(transfers[0], .cut(.stalled, bytes: 0))
        #expect(summary(fixture.accept(bob, third)) == ["2:start", "3:accepted"])
    }

    @Test func offersToOneName() {
        var fixture = BrokerFixture { $0.offersPerRecipient = 3 }
        let alice = fixture.open("alice", receiving: false)
        let carol = fixture.open("carol", receiving: false)
        let dave = fixture.open("dave", receiving: false)
        for session in [alice, alice, carol] {
            #expect(summary(fixture.offer(session, to: "bob").1).last?.hasSuffix("waiting") == true)
        }
        #expect(summary(fixture.offer(dave, to: "bob").1) == ["3:error.too_many_transfers"])
        _ = fixture.handle(.sessionClosed(alice))
        #expect(summary(fixture.offer(carol, to: "bob").1) == ["2:waiting"])
    }

    @Test func heldPayloads() {
        let size = BrokerFixture.payload.rawValue.utf8.count
        var fixture = BrokerFixture { $0.heldBytes = 4 * size }
        let alice = fixture.open("alice", receiving: false)
        let transfers = (0..<2).map { _ in fixture.offer(alice, to: "bob").0 }
        // Alice has as much as is free, then carol.
        #expect(summary(fixture.offer(alice, to: "bob").1) == ["1:error.too_many_transfers"])
        for name in ["carol", "dave"] {
            let session = fixture.open(name, receiving: false)
            #expect(summary(fixture.offer(session, to: "bob").1).last?.hasSuffix("waiting") == true)
        }
        let erin = fixture.open("erin", receiving: false)
        let (_, actions) = fixture.offer(erin, to: "bob")
        #expect(summary(actions) == ["4:error.unavailable"] && met(actions) == [Limit(.waitingBytes, of: .node)])
        _ = fixture.ask(alice) { .cancel(.init(id: $0, transfer: transfers[0], code: .cancelled)) }
        #expect(summary(fixture.offer(erin, to: "bob").1) == ["4:waiting"])
    }

    @Test(
        "a user that has moved too much in a day hears whose limit it is",
        arguments: [
            (Limit.Scope.user, "alice has, on all connections together,"),
            (.address, "the network you come from has, all its users together,"),
        ])
    func day(scope: Limit.Scope, whose: String) {
        let refusal = LimitRefusal(Limit(.day, of: scope), of: Owner(name: .test("alice"), address: "192.0.2.1"))
        #expect(refusal.code == .dayLimit)
        #expect(refusal.message.hasPrefix("\(whose) moved as many bytes as it may in a day: "))
    }

    /// The limits that were met, of a list of actions.
    private func met(_ actions: [BrokerAction]) -> [Limit] {
        actions.compactMap { if case .limitMet(let limit, _) = $0 { limit } else { nil } }
    }

    private enum Figure: CaseIterable {
        case sessions, offers, pending, accepts, waitingBytes

        /// What a user or an address may hold that may have four of these, and a hundred of everything else.
        func four(payloads size: Int) -> Holding {
            var holding = Self.hundred(payloads: size)
            switch self {
            case .sessions: holding.sessions = 4
            case .offers: holding.offers = 4
            case .pending: holding.pending = 4
            case .accepts: holding.accepts = 4
            case .waitingBytes: holding.waitingBytes = 4 * size
            }
            return holding
        }

        static func hundred(payloads size: Int) -> Holding {
            Holding(sessions: 100, offers: 100, pending: 100, accepts: 100, waitingBytes: 100 * size)
        }

        /// The word of the metrics.
        var subject: Limit.Subject {
            switch self {
            case .sessions: .sessions
            case .offers: .offers
            case .pending: .pending
            case .accepts: .accepts
            case .waitingBytes: .waitingBytes
            }
        }
    }

    /// One user, or two users of one address, have as much as there may be: they are refused, and no other user is.
    @Test(arguments: Figure.allCases, [Limit.Scope.user, .address])
    private func aUserOrAddressAtItsLimitIsRefusedAndOthersAreNot(_ figure: Figure, _ scope: Limit.Scope) {
        let size = BrokerFixture.payload.rawValue.utf8.count
        let (small, wide) = (figure.four(payloads: size), Figure.hundred(payloads: size))
        var fixture = BrokerFixture {
            $0.user = scope == .user ? small : wide
            $0.address = scope == .address ? small : wide
            $0.transfersPerSession = 2
        }
        let there = "192.0.2.1"
        let names = scope == .user ? ["alice", "alice", "alice", "alice"] : ["alice", "bobby", "alice", "bobby"]
        let sessions = names.map { fixture.open($0, receiving: false, at: there) }
        if figure == .sessions {
            let fifth = BrokerEvent.sessionOpened(
                SessionID(node: .alone, number: 9), BrokerFixture.user(names[0]), .unknown, at: there)
            let actions = fixture.handle(fifth)
            #expect(summary(actions) == ["9:error.too_many_sessions", "9:close.4401"])
            #expect(met(actions) == [Limit(.sessions, of: scope)])
        } else if figure == .accepts {
            var senders: [SessionID] = []
            for session in sessions { _ = fixture.ask(session) { .presence(.init(id: $0, receiving: true)) } }
            func accepted(by session: Int) -> [BrokerAction] {
                senders.append(fixture.open("sender\(senders.count)", receiving: false, at: "192.0.2.3"))
                return fixture.accept(sessions[session], fixture.offer(senders.last!, to: names[session]).0)
            }
            for session in 0..<4 { #expect(met(accepted(by: session)).isEmpty) }
            let actions = accepted(by: 2)
            #expect(summary(actions) == ["3:error.too_many_transfers"])
            #expect(met(actions) == [Limit(.accepts, of: scope)])
            for sender in senders { _ = fixture.handle(.sessionClosed(sender)) }
        } else {
            for session in sessions.prefix(2) { for _ in 0..<2 { _ = fixture.offer(session, to: "nobody") } }
            let (_, actions) = fixture.offer(sessions[2], to: "nobody")
            #expect(summary(actions) == ["3:error.too_many_transfers"])
            #expect(met(actions) == [Limit(figure.subject, of: scope)])
        }
        // Another user may, and the same ones as soon as they hold less.
        let other = fixture.open("carol", receiving: false, at: "192.0.2.2")
        #expect(summary(fixture.offer(other, to: "nobody").1).last?.hasSuffix(":waiting") == true)
        _ = fixture.handle(.sessionClosed(sessions[0]))
        let again = fixture.open(names[0], receiving: false, at: there)
        #expect(summary(fixture.offer(again, to: "nobody").1).last?.hasSuffix(":waiting") == true)
        for session in sessions + [other, again] { _ = fixture.handle(.sessionClosed(session)) }
        #expect(fixture.broker.snapshot.holdsNothing)
    }

    /// What was seen: 64 sessions of one name with 1,535 offers of 32 KiB to people who are not there.
    @Test func oneUsersOffersLeaveRoomForThoseOfOthers() throws {
        let large = try #require(Payload(bytes: Array(repeating: 0, count: Payload.maximumLength)))
        var fixture = BrokerFixture()
        let sessions = (0..<64).map { _ in fixture.open("mallory", receiving: false, at: "192.0.2.1") }
        for (index, session) in sessions.enumerated() {
            for _ in 0..<24 { _ = fixture.offer(session, to: "nobody\(index)", payload: large) }
        }
        #expect(fixture.broker.snapshot.sessions.holdings.waitingBytes <= Defaults.Broker.user.waitingBytes)
        let alice = fixture.open("alice", receiving: false, at: "192.0.2.1")
        #expect(summary(fixture.offer(alice, to: "nobody1", payload: large).1) == ["65:waiting"])
    }

    @Test func oneUserCannotTakeAllPlacesOfAReceiver() {
        var fixture = BrokerFixture {
            $0.offersPerRecipient = 4
        }
        let mallory = (0..<2).map { _ in fixture.open("mallory", receiving: false) }
        for session in mallory { _ = fixture.offer(session, to: "bob") }
        let (_, actions) = fixture.offer(mallory[0], to: "bob")
        #expect(summary(actions) == ["1:error.too_many_transfers"])
        #expect(met(actions) == [Limit(.offers, of: .recipient)])
        #expect(summary(fixture.offer(mallory[0], to: "carol").1) == ["1:waiting"])
        let alice = fixture.open("alice", receiving: false)
        #expect(summary(fixture.offer(alice, to: "bob").1) == ["3:waiting"])
    }

    /// Names are cheap, addresses less so: neither many names of one address nor several addresses fill a receiver's
    /// places.
    @Test(arguments: [1, 2, 7]) func manyNamesOrAddressesCannotTakeAllPlacesOfAReceiver(addresses: Int) {
        var fixture = BrokerFixture()
        let places = Defaults.Broker.offersPerRecipient
        var waiting: [Int: Int] = [:]
        for number in 0..<3 * addresses {
            let place = number % addresses
            for _ in 0..<4 {
                let session = fixture.open("mallory\(number)", receiving: false, at: "192.0.2.\(place)")
                for _ in 0..<64 where summary(fixture.offer(session, to: "bob").1).last?.hasSuffix("waiting") == true {
                    waiting[place, default: 0] += 1
                }
            }
        }
        #expect(waiting.values.allSatisfy { $0 <= places / 2 })
        #expect(waiting.values.reduce(0, +) > places / 2 - 1)
        let alice = fixture.open("alice", receiving: false, at: "198.51.100.1")
        #expect(summary(fixture.offer(alice, to: "bob").1).last?.hasSuffix("waiting") == true)
    }

    /// Names are cheap, addresses less so: neither many names of one address nor several addresses fill the node.
    @Test(arguments: [1, 2, 7]) func neitherNamesNorAddressesFillTheNode(addresses: Int) throws {
        let large = try #require(Payload(bytes: Array(repeating: 0, count: Payload.maximumLength)))
        var fixture = BrokerFixture()
        // A user alone may have a sixteenth of it, so that eight of them come to the half that an address may have.
        for number in 0..<9 * addresses {
            let address = "192.0.2.\(number / 9)"
            for round in 0..<2 {
                let session = fixture.open("mallory\(number)", receiving: false, at: address)
                for _ in 0..<64 { _ = fixture.offer(session, to: "nobody\(number)-\(round)", payload: large) }
            }
        }
        let free = Defaults.Broker.heldBytes - fixture.broker.snapshot.sessions.holdings.waitingBytes
        #expect(free >= Defaults.Broker.heldBytes >> addresses)
        #expect(
            fixture.broker.snapshot.sessions.holdings.waitingBytes
                > Defaults.Broker.heldBytes / 2 - 9 * large.rawValue.utf8.count
        )
        let alice = fixture.open("alice", receiving: false, at: "198.51.100.1")
        #expect(summary(fixture.offer(alice, to: "bob", payload: large).1).last?.hasSuffix("waiting") == true)
    }

    /// Without limits by address, all users may share one address.
    @Test func placesAreNotCountedByAddressWithoutALimitForAddresses() {
        var fixture = BrokerFixture {
            $0.offersPerRecipient = 8
            $0.address = nil
        }
        for name in ["alice", "bobby", "carol"] {
            let session = fixture.open(name, receiving: false, at: "127.0.0.1")
            for _ in 0..<8 { _ = fixture.offer(session, to: "dave") }
        }
        #expect(fixture.broker.snapshot.sessions.presence(of: PeerName(rawValue: "dave")!).offers.count == 7)
    }

    @Test func acceptedTransfersOfAUser() {
        var fixture = BrokerFixture { $0.user.accepts = 2 }
        let alice = fixture.open("alice", receiving: false)
        let bob = (0..<2).map { _ in fixture.open("bob") }
        let transfers = (0..<3).map { _ in fixture.offer(alice, to: "bob").0 }
        for index in 0..<2 { _ = fixture.accept(bob[index], transfers[index]) }
        let actions = fixture.accept(bob[0], transfers[2])
        #expect(summary(actions) == ["2:error.too_many_transfers"])
        #expect(met(actions) == [Limit(.accepts, of: .user)])
        _ = fixture.stream(transfers[0], .cut(.stalled, bytes: 0))
        #expect(summary(fixture.accept(bob[1], transfers[2])).contains("3:start"))
    }

    /// Bytes that wait count for the sender until a receiver accepts, and for the receiver after that.
    @Test func waitingBytesCountForTheSideWhosePayloadTheyAre() throws {
        let size = BrokerFixture.payload.rawValue.utf8.count
        var fixture = BrokerFixture { $0.user.waitingBytes = size }
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let (transfer, _) = fixture.offer(alice, to: "bob")
        #expect(summary(fixture.offer(alice, to: "bob").1) == ["1:error.too_many_transfers"])
        _ = fixture.accept(bob, transfer)
        let (second, actions) = fixture.offer(alice, to: "bob")
        #expect(summary(actions).first == "1:ringing")
        #expect(summary(fixture.accept(bob, second)) == ["2:error.too_many_transfers"])
        _ = fixture.stream(transfer, .downloadParked)
        #expect(summary(fixture.accept(bob, second)).contains("2:start"))
    }

    @Test(arguments: Limit.allCases) func aRefusalSaysWhatToDo(_ limit: Limit) {
        let owner = Owner(name: PeerName(rawValue: "alice")!, address: "192.0.2.1")
        let refusal = LimitRefusal(limit, of: owner)
        #expect(refusal.message.contains(": ") && !refusal.message.contains("192"))
        #expect(refusal.code == (limit.scope == .node ? .unavailable : refusal.code))
    }

    @Test func unclaimedTokens() throws {
        var fixture = BrokerFixture { $0.unclaimedTokens = 2 }
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let transfers = (0..<3).map { _ in fixture.offer(alice, to: "bob").0 }
        for transfer in transfers.prefix(2) { _ = fixture.accept(bob, transfer) }
        #expect(summary(fixture.accept(bob, transfers[2])) == ["2:error.unavailable"])
        // Without room for the sender's token the stream that is parked has no future.
        #expect(
            summary(fixture.stream(transfers[0], .downloadParked)) == [
                "1:failed.unavailable", "2:failed.unavailable", "abort.unavailable",
            ]
        )
    }

    @Test func outdatedDeadlinesDoNotPileUp() {
        var fixture = BrokerFixture()
        let alice = fixture.open("alice", receiving: false)
        _ = fixture.open("bob")
        for _ in 0..<1000 {
            let (transfer, _) = fixture.offer(alice, to: "bob")
            _ = fixture.ask(alice) { .cancel(.init(id: $0, transfer: transfer, code: .cancelled)) }
        }
        #expect(fixture.broker.snapshot.home.transfers.deadlines.count <= 66)
    }

    @Test func nothingIsLeftBehind() {
        var fixture = BrokerFixture()
        for round in 0..<20 {
            let running = fixture.streaming()
            _ = fixture.offer(running.sender, to: "nobody")
            _ = fixture.offer(running.receiver, to: "alice")
            for session in round.isMultiple(of: 2)
                ? [running.sender, running.receiver] : [running.receiver, running.sender]
            {
                _ = fixture.handle(.sessionClosed(session))
            }
        }
        let left = fixture.broker.snapshot
        #expect(left.sessions.sessions.isEmpty && left.sessions.names.isEmpty && left.transfers.isEmpty)
        #expect(left.home.transfers.activeCount == 0 && left.sessions.receivingCount == 0)
        #expect(left.unusedTokens.isEmpty && left.holdsNothing)
    }
}
