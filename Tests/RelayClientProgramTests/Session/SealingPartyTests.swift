// SPDX-License-Identifier: Apache-2.0

import Crypto
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// What this client seals and opens, and whom it trusts.
struct SealingPartyTests {
    private let temporary: TemporaryDirectory
    private let carol: SealingParty
    private let alice: FakePeer
    private let bob: FakePeer
    private let summary = OfferSummary(names: ["file"], entries: 1, bytes: 7, kind: .file)
    private let id = RequestID.sequence(.client, 1)

    init() throws {
        temporary = try TemporaryDirectory()
        carol = .fresh(in: temporary.file("profile"))
        (alice, bob) = (try FakePeer(Samples.alice), try FakePeer(Samples.bob))
    }

    private func seal(to peer: ServerMessage.Peer) throws(ClientError) -> SentOffer {
        try carol.seal(summary, of: .random(), as: .random(), to: peer)
    }

    // MARK: - Sending

    @Test func whatIsSealedOpensAtItsReceiver() throws {
        let (transfer, attempt) = (CarriedTransfer.random(), AttemptID.random())
        let sent = try carol.seal(summary, of: transfer, as: attempt, to: bob.found(id))
        let payload = try #require(Payload(bytes: sent.payload))
        let offer = ClientMessage.Offer(id: id, transfer: attempt, to: Samples.bob, wait: true, payload: payload)
        let party = try #require(carol.party)
        let opened = try #require(bob.open(offer, of: party))
        #expect(opened.transfer == transfer && opened.summary == summary && opened.time == Samples.now)
        #expect(opened.parties.sender == party && opened.parties.attempt == attempt)
        // No other party opens it, nor as another's.
        #expect(alice.open(offer, of: party) == nil && bob.open(offer, of: alice.party) == nil)
    }

    @Test func nothingIsSealedToAnotherIdentityThanThePinnedOne() throws {
        #expect(try carol.meet(bob.party))
        let other = try FakePeer(Samples.bob)
        let changed = SealingError.identityChanged(
            pinned: Fingerprint(of: bob.party.identity), shown: Fingerprint(of: other.party.identity)
        )
        let error = caught(ClientError.self) { _ = try seal(to: other.found(id)) }
        #expect(error == .sealing(changed) && error?.status == .refused)
        // A fingerprint that came another way is a pin too.
        _ = try carol.peers.add(Samples.alice, Fingerprint(of: bob.party.identity), now: Samples.now)
        #expect(
            caught(ClientError.self) { _ = try seal(to: alice.found(id)) }?.failureCode(or: .declined)
                == .identityChanged)
        // Looking is no contact.
        #expect(try carol.peers.pin(of: Samples.bob)?.key == bob.party.identity)
        #expect(caught(ClientError.self) { _ = try seal(to: bob.found(id)) } == nil)
    }

    @Test func aPeerWithoutAPrekeyIsToldToBeOneToUpdate() throws {
        var found = bob.found(id)
        found.prekey = nil
        let error = try #require(caught(ClientError.self) { _ = try seal(to: found) })
        #expect(error.status == .refused && error.description.contains("bob's client cannot receive what is sealed"))
        #expect(try carol.peers.list().isEmpty)
    }

    @Test func aPrekeyThatIsNotTheirsOrOfAnotherTimeIsRefused() throws {
        let (other, old) = (try FakePeer(Samples.bob), try FakePeer(Samples.bob, time: Samples.now - 70 * Samples.day))
        let error = caught(ClientError.self) { _ = try seal(to: bob.found(id, prekey: other.prekey)) }
        #expect(error == .sealing(.prekeySignature) && error?.failureCode(or: .declined) == .badPrekey)
        let late = caught(ClientError.self) { _ = try seal(to: old.found(id)) }
        #expect(late == .sealing(.prekeyMonth(prekey: old.prekey.epoch, own: Epoch(milliseconds: Samples.now))))
    }

    // MARK: - Receiving

    @Test func whatIsOfferedIsOpenedAndAnswered() throws {
        let offer = try alice.offer(summary, to: carol)
        let opened = try carol.open(try alice.ring(offer))
        #expect(opened.summary == summary && opened.parties.sender == alice.party)
        let position = TransferPosition(file: 1, offset: 2)
        let (payload, keys) = try carol.accept(Acceptance(position: position), of: opened)
        let read = try AcceptSealing.open(Array(payload.bytes), to: offer)
        #expect(read.acceptance == Acceptance(position: position))
        // Both have the same keys.
        let summary = DeliveredSummary(manifest: [UInt8](repeating: 1, count: 32), entries: 1, bytes: 7)
        #expect(try DeliveredSealing.open(try DeliveredSealing.seal(summary, with: keys), with: read.keys) == summary)
        // Opening is no contact: only accepting is.
        #expect(try carol.peers.list().isEmpty)
    }

    @Test func anOfferOfAnotherIdentityThanThePinnedOneIsNotOpened() throws {
        #expect(try carol.meet(alice.party))
        let other = try FakePeer(Samples.alice)
        let ring = try other.ring(try other.offer(summary, to: carol))
        let changed = SealingError.identityChanged(
            pinned: Fingerprint(of: alice.party.identity), shown: Fingerprint(of: other.party.identity)
        )
        let error = caught(ClientError.self) { _ = try carol.open(ring) }
        #expect(error == .sealing(changed) && error?.failureCode(or: .cannotWrite) == .identityChanged)
        // Nor does it help to show the one that is known.
        var shown = ring
        shown.key = alice.party.identity
        #expect(caught(ClientError.self) { _ = try carol.open(shown) }?.failureCode(or: .cannotWrite) == .protocolError)
    }

    @Test func whatIsNotForThisClientOrNotOfTodayIsRefused() throws {
        let other = SealingParty.fresh(in: temporary.file("other"))
        #expect(
            caught(ClientError.self) { _ = try carol.open(try alice.ring(try alice.offer(summary, to: other))) }
                == .sealing(.doesNotOpen(.offer)))
        for time in [Samples.now - Samples.day - 1, Samples.now + Samples.day + 1] {
            let stale = try alice.ring(try alice.offer(summary, to: carol, time: time))
            #expect(
                caught(ClientError.self) { _ = try carol.open(stale) }?.failureCode(or: .cannotWrite) == .staleOffer)
        }
        var empty = try alice.ring(try alice.offer(summary, to: carol))
        empty.payload = try #require(Payload(bytes: []))
        #expect(caught(ClientError.self) { _ = try carol.open(empty) }?.failureCode(or: .cannotWrite) == .protocolError)
        // Sealed to the key of a month that this profile has no key of.
        let old = SealingParty(
            name: carol.name, signingKey: carol.signingKey, prekeys: PrekeyStore(temporary.file("old")),
            peers: carol.peers, attempts: carol.attempts, time: { Samples.now - 31 * Samples.day }
        )
        let time = Samples.now - Samples.day
        let forgotten = try alice.ring(try alice.offer(summary, to: old, time: time))
        #expect(caught(ClientError.self) { _ = try carol.open(forgotten) }?.failureCode(or: .cannotWrite) == .badPrekey)
    }

    @Test func whoIsMetIsPinnedAndMetForTheFirstTimeOnce() throws {
        #expect(try carol.meet(alice.party))
        #expect(try !carol.meet(alice.party))
        let pin = try #require(try carol.peers.pin(of: Samples.alice))
        #expect(pin.key == alice.party.identity && !pin.isVerified && pin.since == Samples.now)
        // One whose fingerprint came before is no stranger, and stays one who was verified.
        _ = try carol.peers.add(Samples.bob, Fingerprint(of: bob.party.identity), now: Samples.now)
        #expect(try !carol.meet(bob.party))
        let verified = try #require(try carol.peers.pin(of: Samples.bob))
        #expect(verified.key == bob.party.identity && verified.isVerified)
    }

    @Test func anAttemptIsTakenOnce() throws {
        let transfer = CarriedTransfer.random()
        let ring = try alice.ring(try alice.offer(summary, of: transfer, to: carol))
        // It may ring as often as it likes before.
        for _ in 1...2 { _ = try carol.open(ring) }
        let first = try carol.open(ring)
        #expect(carol.take(first) == nil)
        #expect(caught(ClientError.self) { _ = try carol.open(ring) } == .sealing(.repeatedAttempt))
        #expect(carol.take(first) == .sealing(.repeatedAttempt))
        // Nor by another process of the profile.
        let again = SealingParty(
            name: carol.name, signingKey: carol.signingKey, prekeys: carol.prekeys, peers: carol.peers,
            attempts: AttemptStore(temporary.file("profile")), time: carol.time
        )
        #expect(again.take(first) == .sealing(.repeatedAttempt))
        // Another attempt to carry the same is another one.
        let another = try carol.open(try alice.ring(try alice.offer(summary, of: transfer, to: carol)))
        #expect(carol.take(another) == nil)
    }
}
