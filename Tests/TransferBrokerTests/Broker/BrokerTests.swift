// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import TransferBroker

@Suite struct BrokerTests {
    private var fixture = BrokerFixture()

    @Test mutating func aTransferFromOfferToDelivered() throws {
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let (transfer, offered) = fixture.offer(alice, to: "bob")
        #expect(summary(offered) == ["1:ringing", "2:ring"])
        guard case .send(_, .ring(let ring))? = offered.last else { return #expect(Bool(false)) }
        #expect(ring.from.rawValue == "alice")
        #expect(ring.key == BrokerFixture.user("alice").key)
        #expect(ring.id.rawValue == "r2", "r1 was the challenge")

        let accepted = fixture.accept(bob, transfer)
        #expect(summary(accepted) == ["2:start", "1:accepted"])
        let download = try #require(token(in: accepted))
        #expect(fixture.claim(download, as: .download) == transfer)
        #expect(fixture.broker.activeTransfers == 1)

        let parked = fixture.stream(transfer, .downloadParked)
        #expect(summary(parked) == ["1:start"])
        guard case .send(_, .start(let start))? = parked.first else { return #expect(Bool(false)) }
        #expect(start.role == .upload && start.url == "/upload" && start.expires == 30)
        #expect(start.payload == BrokerFixture.payload)
        #expect(fixture.claim(start.token, as: .upload) == transfer)

        #expect(fixture.stream(transfer, .joined).isEmpty)
        let progress = fixture.ask(bob) { .progress(.init(id: $0, transfer: transfer, bytes: 5)) }
        #expect(summary(progress) == ["1:progress"])
        #expect(progress.first.map(messageID) == start.id, "everything about an offer has the offer's id")
        #expect(fixture.stream(transfer, .finished(bytes: 10)).isEmpty)
        #expect(fixture.broker.status.streamed == 1)
        let delivered = fixture.ask(bob) {
            .delivered(.init(id: $0, transfer: transfer, payload: BrokerFixture.payload))
        }
        #expect(summary(delivered) == ["2:ok", "1:delivered"])
        #expect(fixture.broker.activeTransfers == 0)
        #expect(fixture.broker.status.pairTimes.count == 1 && fixture.broker.status.deliveryTimes.count == 1)
        #expect(fixture.broker.status.delivered == 1)
        #expect(fixture.broker.snapshot.sessions.holdings.waitingBytes == 0)
        #expect(summary(fixture.offer(alice, to: "bob", transfer: transfer).1) == ["1:ringing", "2:ring"])
    }

    /// An end that comes while the receiver's token is still being made.
    private mutating func accepted() -> (transfer: TransferID, alice: SessionID, bob: SessionID, token: TokenRequest?) {
        let (alice, bob) = (fixture.open("alice", receiving: false), fixture.open("bob"))
        let (transfer, _) = fixture.offer(alice, to: "bob")
        let accept = ClientMessage.accept(
            .init(id: fixture.nextID(), transfer: transfer, payload: BrokerFixture.payload))
        let actions = fixture.broker.handle(.requestReceived(accept, from: bob), now: fixture.now)
        for case .mint(let request) in actions { return (transfer, alice, bob, request) }
        return (transfer, alice, bob, nil)
    }

    @Test mutating func anAcceptIsAnsweredWhenTheSenderCancelsBeforeThereIsAToken() throws {
        let (transfer, alice, _, request) = accepted()
        let cancelled = fixture.ask(alice) { .cancel(.init(id: $0, transfer: transfer, code: .cancelled)) }
        #expect(summary(cancelled) == ["1:ok", "2:failed.cancelled", "2:error.unknown_transfer"])
        let minted = fixture.broker.handle(.tokenMinted(.random(), for: try #require(request)), now: fixture.now)
        #expect(summary(minted) == [])
    }

    @Test mutating func anAcceptIsAnsweredWhenItsOwnSessionCancelsBeforeThereIsAToken() {
        let (transfer, _, bob, _) = accepted()
        let cancelled = fixture.ask(bob) { .cancel(.init(id: $0, transfer: transfer, code: .noSpace)) }
        #expect(summary(cancelled) == ["2:ok", "2:error.unknown_transfer", "1:failed.no_space"])
    }

    @Test mutating func anAcceptOfASessionThatIsGoneIsNotAnswered() {
        let (_, _, bob, _) = accepted()
        let closed = fixture.handle(.sessionClosed(bob))
        #expect(summary(closed) == ["1:failed.receiver_gone"])
    }

    @Test mutating func notesGoBetweenTheTwoSessionsOfAnAcceptedTransfer() throws {
        let (alice, bob, bobToo) = (fixture.open("alice"), fixture.open("bob"), fixture.open("bob"))
        let (transfer, offered) = fixture.offer(alice, to: "bob")
        func note(_ session: SessionID, _ payload: Payload = BrokerFixture.payload) -> [BrokerAction] {
            fixture.ask(session) { .note(.init(id: $0, transfer: transfer, payload: payload)) }
        }
        for session in [alice, bob, bobToo] {
            #expect(summary(note(session)) == ["\(session.number):error.unknown_transfer"], "no session has accepted")
        }
        _ = fixture.accept(bob, transfer)
        let texts = try ["first", "second"].map { try #require(Payload(bytes: Array($0.utf8))) }
        for text in texts {
            #expect(note(alice, text).map(Self.note) == [.init(session: bob, transfer: transfer, payload: text)])
            #expect(note(bob, text).map(Self.note) == [.init(session: alice, transfer: transfer, payload: text)])
        }
        #expect(note(bob).compactMap(messageID).first == offered.compactMap(messageID).first, "as all about the offer")
        #expect(summary(note(bobToo)) == ["3:error.unknown_transfer"], "another session of the name is none of the two")
        _ = fixture.ask(bob) { .cancel(.init(id: $0, transfer: transfer, code: .cancelled)) }
        for session in [alice, bob] {
            #expect(summary(note(session)) == ["\(session.number):error.unknown_transfer"], "it is over")
        }
    }

    private struct HeardNote: Hashable {
        let session: SessionID
        let transfer: TransferID
        let payload: Payload
    }

    private static func note(_ action: BrokerAction) -> HeardNote? {
        guard case .send(let session, .note(let note)) = action else { return nil }
        return HeardNote(session: session, transfer: note.transfer, payload: note.payload)
    }

    @Test mutating func lookupReturnsThePrekeyThatIsRecorded() throws {
        let alice = fixture.open("alice")
        var bob = BrokerFixture.user("bob")
        for prekey in [nil, PublishedPrekey.test(24_322)] {
            bob.prekey = prekey
            let answer = fixture.ask(alice, found: LookupResult(user: bob, elsewhere: .none)) {
                .lookup(.init(id: $0, name: bob.name))
            }
            guard case .send(_, .peer(let peer))? = answer.first else { return #expect(Bool(false)) }
            #expect(peer.prekey == prekey)
        }
    }

    private func messageID(_ action: BrokerAction) -> RequestID? {
        switch action {
        case .send(_, .offered(let message)): message.id
        case .send(_, .progress(let message)): message.id
        case .send(_, .note(let message)): message.id
        default: nil
        }
    }

    @Test mutating func theFirstOfThreeToAcceptWins() {
        let alice = fixture.open("alice", receiving: false)
        let bobs = (0..<3).map { _ in fixture.open("bob") }
        let (transfer, offered) = fixture.offer(alice, to: "bob")
        #expect(summary(offered) == ["1:ringing", "2:ring", "3:ring", "4:ring"])
        #expect(
            summary(fixture.accept(bobs[1], transfer)) == [
                "3:start", "1:accepted", "2:failed.accepted_elsewhere", "4:failed.accepted_elsewhere",
            ]
        )
        #expect(summary(fixture.accept(bobs[0], transfer)) == ["2:error.unknown_transfer"])
        #expect(summary(fixture.handle(.sessionClosed(bobs[0]))).isEmpty, "who lost has nothing to do with it any more")
        #expect(summary(fixture.handle(.sessionClosed(bobs[1]))) == ["1:failed.receiver_gone"])
    }

    @Test mutating func theSenderHearsTheLastOfRacingDeclines() {
        let alice = fixture.open("alice", receiving: false)
        let bobs = (0..<2).map { _ in fixture.open("bob") }
        let (transfer, _) = fixture.offer(alice, to: "bob")
        let codes: [FailureCode] = [.declined, .tooLarge]
        let actions = zip(bobs, codes).flatMap { bob, code in
            fixture.ask(bob) { .decline(.init(id: $0, transfer: transfer, code: code)) }
        }
        #expect(summary(actions) == ["2:ok", "3:ok", "1:failed.too_large"])
        #expect(fixture.broker.snapshot.transfers.isEmpty)
        #expect(fixture.broker.snapshot.sessions[bobs[0]]?.incoming.isEmpty == true)
    }

    @Test mutating func anOfferWaitsUntilASessionReceives() {
        let alice = fixture.open("alice", receiving: false)
        let (transfer, offered) = fixture.offer(alice, to: "bob")
        #expect(summary(offered) == ["1:waiting"])
        let bob = fixture.open("bob", receiving: false)
        let presence = fixture.ask(bob) { .presence(.init(id: $0, receiving: true)) }
        #expect(summary(presence) == ["2:ok", "1:ringing", "2:ring"])
        let again = fixture.ask(bob) { .presence(.init(id: $0, receiving: true)) }
        #expect(summary(again) == ["2:ok"])
        #expect(summary(fixture.handle(.sessionClosed(bob))) == ["1:waiting"])
        fixture.now = fixture.now + .hours(24)
        #expect(summary(fixture.handle(.timerFired)).isEmpty, "it waits as long as its session lives")
        #expect(fixture.broker.snapshot.transfers[transfer] != nil)
        #expect(summary(fixture.handle(.sessionClosed(alice))).isEmpty)
        #expect(fixture.broker.snapshot.transfers.isEmpty && fixture.broker.snapshot.sessions.names.isEmpty)
    }

    @Test mutating func ringsGoOnAfterPresenceIsOff() {
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let (transfer, _) = fixture.offer(alice, to: "bob")
        #expect(summary(fixture.ask(bob) { .presence(.init(id: $0, receiving: false)) }) == ["2:ok"])
        #expect(summary(fixture.offer(alice, to: "bob", wait: false).1) == ["1:error.peer_offline"])
        #expect(summary(fixture.accept(bob, transfer)) == ["2:start", "1:accepted"])
    }

    @Test mutating func anOfferToTheOwnNameRingsTheOtherSessions() {
        let laptop = fixture.open("alice")
        let desktop = fixture.open("alice")
        #expect(summary(fixture.offer(laptop, to: "alice").1) == ["1:ringing", "2:ring"])
        _ = fixture.handle(.sessionClosed(desktop))
        let (own, offered) = fixture.offer(laptop, to: "alice")
        #expect(summary(offered) == ["1:waiting"])
        #expect(summary(fixture.accept(laptop, own)) == ["1:error.unknown_transfer"])
        #expect(summary(fixture.offer(laptop, to: "alice", wait: false).1) == ["1:error.peer_offline"])
    }

    @Test(arguments: [false, true])
    mutating func aSessionThatClosesEndsItsTransfers(_ isSender: Bool) {
        let running = fixture.streaming()
        let actions = summary(fixture.handle(.sessionClosed(isSender ? running.sender : running.receiver)))
        let other = isSender ? running.receiver : running.sender
        let code = isSender ? "sender_gone" : "receiver_gone"
        #expect(actions == ["\(other.number):failed.\(code)", "abort.\(code)"])
        #expect(fixture.broker.activeTransfers == 0)
        #expect(summary(fixture.stream(running.transfer, .cut(.senderGone, bytes: 3))).isEmpty)
        #expect(fixture.broker.status.failures == [isSender ? FailureCode.senderGone : .receiverGone: 1])
    }

    @Test mutating func aDeadlineEndsWhatIsNotClaimed() throws {
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let (transfer, _) = fixture.offer(alice, to: "bob")
        let download = try #require(token(in: fixture.accept(bob, transfer)))
        fixture.now = fixture.now + .seconds(59)
        #expect(summary(fixture.handle(.timerFired)).isEmpty)
        fixture.now = fixture.now + .seconds(1)
        #expect(summary(fixture.handle(.timerFired)) == ["1:failed.expired", "2:failed.expired"])
        #expect(fixture.claim(download, as: .download) == nil)
        #expect(fixture.broker.snapshot.nextDeadline != nil, "the ring's deadline is still queued")
        fixture.now = fixture.now + .minutes(10)
        #expect(summary(fixture.handle(.timerFired)).isEmpty)
        #expect(fixture.broker.snapshot.nextDeadline == nil)
    }

    @Test mutating func endingATransferRevokesItsTokens() throws {
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let (transfer, _) = fixture.offer(alice, to: "bob")
        let download = try #require(token(in: fixture.accept(bob, transfer)))
        let cancelled = fixture.ask(alice) { .cancel(.init(id: $0, transfer: transfer, code: .cancelled)) }
        #expect(summary(cancelled) == ["1:ok", "2:failed.cancelled"])
        #expect(fixture.claim(download, as: .download) == nil)
        #expect(fixture.broker.snapshot.unusedTokens.isEmpty)
    }

    @Test mutating func aSessionWithNoPartInATransferCannotChangeIt() {
        let running = fixture.streaming()
        let mallory = fixture.open("mallory")
        var before = fixture.broker.status
        let transfer = running.transfer
        for refused in [
            fixture.ask(mallory) { .cancel(.init(id: $0, transfer: transfer, code: .cancelled)) },
            fixture.ask(mallory) { .decline(.init(id: $0, transfer: transfer, code: .declined)) },
            fixture.ask(mallory) { .delivered(.init(id: $0, transfer: transfer, payload: BrokerFixture.payload)) },
            fixture.accept(mallory, transfer),
        ] { #expect(summary(refused) == ["3:error.unknown_transfer"]) }
        #expect(summary(fixture.ask(mallory) { .progress(.init(id: $0, transfer: transfer, bytes: 1)) }).isEmpty)
        #expect(summary(fixture.offer(mallory, to: "bob", transfer: transfer).1) == ["3:error.transfer_exists"])
        before.progressDropped += 1
        #expect(fixture.broker.status == before)
    }

    @Test mutating func aClientCannotUseACodeThatOnlyTheRelayMayGive() {
        let running = fixture.streaming()
        for code in FailureCode.allCases where !code.isClients && code != .senderGone {
            let cancel = fixture.ask(running.sender) { .cancel(.init(id: $0, transfer: running.transfer, code: code)) }
            #expect(summary(cancel) == ["1:error.bad_message"])
        }
        let cancel = fixture.ask(running.receiver) {
            .cancel(.init(id: $0, transfer: running.transfer, code: .senderGone))
        }
        #expect(summary(cancel) == ["2:error.bad_message"], "of its own half alone")
        let (offered, _) = fixture.offer(running.sender, to: "bob")
        let decline = fixture.ask(running.receiver) {
            .decline(.init(id: $0, transfer: offered, code: .receiverGone))
        }
        #expect(summary(decline) == ["2:error.bad_message"])
    }

    /// The home does not know of a stream that could not begin, and would wait for it.
    @Test mutating func aClientMaySayThatItsOwnHalfIsLost() {
        let alice = fixture.open("alice", receiving: false)
        let bob = fixture.open("bob")
        let (transfer, _) = fixture.offer(alice, to: "bob")
        _ = fixture.accept(bob, transfer)
        let cancel = fixture.ask(bob) { .cancel(.init(id: $0, transfer: transfer, code: .receiverGone)) }
        #expect(summary(cancel) == ["2:ok", "1:failed.receiver_gone"])
        #expect(
            cancel.contains { action in
                guard case .send(alice, .failed(let failed)) = action else { return false }
                return failed.by == .relay
            })
        let running = fixture.streaming()
        let other = fixture.ask(running.sender) {
            .cancel(.init(id: $0, transfer: running.transfer, code: .senderGone))
        }
        #expect(summary(other).contains("\(running.receiver.number):failed.sender_gone"))
    }

    @Test mutating func drainingRefusesTheNewAndKeepsTheRunning() {
        let running = fixture.streaming()
        let (waiting, _) = fixture.offer(running.sender, to: "bob")
        let idle = fixture.open("carol")
        #expect(
            summary(fixture.handle(.drainBegun)) == ["\(idle.number):close.1001"], "who is idle goes elsewhere at once")
        #expect(summary(fixture.offer(running.sender, to: "bob").1) == ["1:error.draining"])
        #expect(summary(fixture.accept(running.receiver, waiting)) == ["2:error.draining"])
        _ = fixture.stream(running.transfer, .finished(bytes: 1))
        let delivered = fixture.ask(running.receiver) {
            .delivered(.init(id: $0, transfer: running.transfer, payload: BrokerFixture.payload))
        }
        #expect(summary(delivered) == ["2:ok", "1:delivered", "1:close.1001", "2:close.1001"])
        #expect(fixture.broker.activeTransfers == 0)
    }

    @Test mutating func shortMemoryRefusesOffersOnly() {
        let running = fixture.streaming()
        let (waiting, _) = fixture.offer(running.sender, to: "bob")
        #expect(fixture.handle(.memoryChanged(isShort: true)).isEmpty)
        #expect(summary(fixture.offer(running.sender, to: "bob").1) == ["1:error.unavailable"])
        #expect(summary(fixture.accept(running.receiver, waiting)).first == "2:start")
        #expect(fixture.handle(.memoryChanged(isShort: false)).isEmpty)
        #expect(summary(fixture.offer(running.sender, to: "bob").1).first == "1:ringing")
    }

    @Test mutating func lookupAnswersWithKeysAndWhetherASessionReceives() {
        let alice = fixture.open("alice", receiving: false)
        let bob = BrokerFixture.user("bob")
        let (found, missing) = (
            LookupResult(user: bob, elsewhere: .none), LookupResult(user: nil, elsewhere: .none)
        )
        func online(_ actions: [BrokerAction]) -> Bool? {
            if case .send(_, .peer(let peer))? = actions.first { peer.online } else { nil }
        }
        #expect(online(fixture.ask(alice, found: found) { .lookup(.init(id: $0, name: bob.name)) }) == false)
        _ = fixture.open("bob")
        #expect(online(fixture.ask(alice, found: found) { .lookup(.init(id: $0, name: bob.name)) }) == true)
        #expect(
            summary(fixture.ask(alice, found: missing) { .lookup(.init(id: $0, name: bob.name)) }) == [
                "1:error.unknown_peer"
            ])
    }
}
