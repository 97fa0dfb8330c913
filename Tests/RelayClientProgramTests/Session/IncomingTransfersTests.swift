// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

@Suite struct IncomingTransfersTests {
    private let relay = FakeRelay()
    private let outbox: Outbox
    private let temporary: TemporaryDirectory
    private let bob: SealingParty
    private let alice: FakePeer
    private let carried = CarriedTransfer.random()

    init() throws {
        outbox = Outbox(FakeLine(relay, number: 1), number: 1)
        temporary = try TemporaryDirectory()
        bob = .fresh(Samples.bob, in: temporary.file("profile"))
        alice = try FakePeer(Samples.alice)
    }

    private var rules: ReceiveRules { ReceiveRules(sender: Samples.alice, output: .standardOutput) }

    private var key: OfferMemory.Key { .init(sender: alice.party.identity, transfer: carried) }

    private func label(_ name: String = "file", size: UInt64? = 7) -> TransferLabel {
        TransferLabel(transfer: carried.shown, direction: .receive, peer: Samples.alice, summary: summary(name, size))
    }

    private func summary(_ name: String, _ size: UInt64?) -> OfferSummary {
        OfferSummary(names: [name], entries: 1, bytes: size, kind: .file)
    }

    /// Another attempt to carry the same.
    private func transfer(_ name: String = "file", size: UInt64? = 7) throws -> IncomingTransfer {
        let ring = try alice.ring(try alice.offer(summary(name, size), of: carried, to: bob))
        let offer = try bob.open(ring)
        return IncomingTransfer(ring, offer, label: TransferLabel(of: offer), rules: rules, on: outbox)
    }

    private func running(_ transfer: IncomingTransfer, isHere: Bool = false) -> IncomingTransfer {
        var running = transfer
        running.dequeued(isHere: isHere)
        return running
    }

    /// The same with a place for it.
    private func prepared(_ transfer: IncomingTransfer, _ sink: any TransferSink) throws -> IncomingTransfer {
        var prepared = running(transfer)
        prepared.prepared(sink, keys: try bob.accept(try sink.acceptance(), of: transfer.offer).keys)
        return prepared
    }

    @Test func transfersAreKeptInTheOrderOfTheirRings() throws {
        var transfers = IncomingTransfers()
        let all = try (1...4).map { _ in try transfer() }
        for each in all + all { transfers.append(each) }
        let ids = all.map(\.machine.ring.transfer)
        #expect(transfers.ids == ids && transfers.count == 4 && transfers.all.count == 4)
        #expect(transfers.remove(ids[1]) != nil && transfers.remove(ids[1]) == nil)
        #expect(transfers.ids == [ids[0], ids[2], ids[3]])
        // What is not there any more cannot be changed.
        transfers[ids[1]]?.accepted()
        transfers[ids[1]] = all[1]
        #expect(transfers[ids[1]] == nil && transfers.count == 3)
        transfers[ids[0]]?.accepted()
        #expect(transfers[ids[0]]?.isQueued == true)
    }

    /// A relay that has waited for the sender has held this side's request all the while.
    @Test func whoWasLateIsNotTheOneWhoWaited() throws {
        func cause(after wait: TimeAmount, by party: ServerMessage.Failed.Party = .relay) throws -> ClientError? {
            let began = NIODeadline.uptimeNanoseconds(1_000_000_000)
            var transfer = running(try transfer())
            let id = transfer.machine.ring.transfer
            let start = ServerMessage.Start(
                id: .sequence(.client, 1), transfer: id, role: .download, token: .random(), url: "/download",
                expires: 60
            )
            transfer.heard(.start(start), now: began)
            let end = ServerMessage.failed(
                .init(id: .sequence(.relay, 9), transfer: id, code: .expired, by: party))
            transfer.heard(end, now: began + wait)
            return transfer.cause
        }
        let own = ClientError.transfer(.ownLateness(.receiver, peer: Samples.alice))
        #expect(try cause(after: .zero) == own)
        #expect(try cause(after: ProtocolDefaults.attachTimeout - .milliseconds(1)) == own)
        #expect(try cause(after: ProtocolDefaults.attachTimeout) == nil)
        #expect(try cause(after: .zero, by: .peer) == nil)
    }

    @Test func thoseThatRunAreCountedByTheirSize() throws {
        var transfers = IncomingTransfers()
        transfers.append(try transfer())
        transfers.append(running(try transfer(size: Defaults.smallContent)))
        transfers.append(running(try transfer(size: Defaults.smallContent + 1)))
        transfers.append(running(try transfer(size: nil)))
        // What is here already costs nothing.
        transfers.append(running(try transfer(), isHere: true))
        #expect(transfers.running == (large: 2, all: 3))
    }

    @Test func anAttemptIsShownAsItsTransfer() throws {
        let (first, second) = (try transfer(), try transfer())
        #expect(first.label == label() && second.label == first.label && first.key == key && second.key == key)
        #expect(first.machine.ring.transfer != second.machine.ring.transfer)
    }

    @Test func theSameOfferIsRecognizedBeforeTheOldOneIsThrough() throws {
        var transfers = IncomingTransfers()
        #expect(!transfers.isKnown(key, label()))
        transfers.append(try transfer())
        #expect(try !transfers.isKnown(key, label()) && !transfers.isBusy(transfer()))
        transfers.append(running(try transfer()))
        #expect(transfers.isKnown(key, label()))
        #expect(transfers.isBusy(try transfer()))
        // Another name, another size, another sender, or another transfer, is another offer.
        let others: [(OfferMemory.Key, TransferLabel)] = [
            (key, label("other")), (key, label(size: 8)), (.init(sender: .random(), transfer: carried), label()),
            (.init(sender: key.sender, transfer: .random()), label()),
        ]
        for (key, label) in others { #expect(!transfers.isKnown(key, label), "\(label)") }
    }

    @Test func whatBrokeIsRecognized() throws {
        var transfers = IncomingTransfers()
        let problem = OfferMemory.Problem(code: "sender_gone", message: "cut", status: .unreachable)
        _ = transfers.memory.rememberAcceptance(key, label(), problem)
        #expect(transfers.isKnown(key, label()) && !transfers.isKnown(key, label("other")))
        #expect(transfers.recalled(try transfer())?.problem == problem)
        #expect(transfers.recalled(try transfer("other")) == nil)
        #expect(transfers.finished(key, label()) == nil)
        let stored = FinishedTransfer(
            delivered: DeliveredSummary(manifest: [UInt8](repeating: 1, count: 32), entries: 1, bytes: 7), files: 1
        )
        _ = transfers.memory.finished(key, stored)
        let unknown = transfers.recalled(try transfer())
        #expect(transfers.finished(key, label()) == stored && unknown == nil && transfers.isKnown(key, label()))
        #expect(transfers.finished(key, label(size: 8)) == nil)
        #expect(transfers.finished(.init(sender: .random(), transfer: carried), label()) == nil)
    }

    @Test func whatIsStoredIsConfirmedWithTheKeysOfItsOwnAttempt() throws {
        let summary = DeliveredSummary(manifest: [UInt8](repeating: 1, count: 32), entries: 1, bytes: 7)
        let sink = FinishedSink(FinishedTransfer(delivered: summary, files: 1))
        var (first, second) = (try prepared(try transfer(), sink), try prepared(try transfer(), sink))
        #expect(first.confirmation == nil)
        first.stored(sink.finish())
        second.stored(sink.finish())
        let (one, other) = (try #require(first.confirmation), try #require(second.confirmation))
        let keys = try #require(second.keys)
        #expect(try DeliveredSealing.open(Array(other.bytes), with: keys) == summary && one != other)
        #expect(throws: SealingError.doesNotOpen(.delivered)) {
            try DeliveredSealing.open(Array(one.bytes), with: keys)
        }
    }

    @Test func notesAreSealedInTheirOrder() throws {
        let note = WantedNote(runs: [.init(skip: 1, take: 2)], isLast: true)
        var unprepared = try transfer()
        #expect(unprepared.sealed(note) == nil)
        var transfer = try prepared(try transfer(), MemorySink())
        var opening = NoteSealing(of: .receiver, with: try #require(transfer.keys))
        for _ in 1...2 {
            let sealed = transfer.sealed(note)
            let opened = try opening.open(Array(try #require(sealed).bytes))
            #expect(try WantedNote(opened) == note)
        }
    }

    @Test func onlyWhatHasASizeComesAgainOnceSomeOfItHasCome() throws {
        let some = MemorySink([], having: [[1]])
        #expect(try prepared(try transfer(), some).mayComeAgain)
        #expect(try prepared(try transfer(size: nil), MemorySink()).mayComeAgain)
        #expect(try !prepared(try transfer(size: nil), some).mayComeAgain)
        // Nothing of it has come.
        #expect(try transfer(size: nil).mayComeAgain)
    }

    @Test func theDeadlineIsTheFirstOfAll() throws {
        var transfers = IncomingTransfers()
        #expect(transfers.deadline == nil)
        let now = NIODeadline.uptimeNanoseconds(0)
        let problem = OfferMemory.Problem(code: "sender_gone", message: "cut", status: .unreachable)
        _ = transfers.memory.rememberAcceptance(key, label(), problem)
        // What broke is waited for without an end.
        #expect(transfers.deadline == nil)
        let accepting = try transfer()
        transfers.append(accepting)
        let payload = try #require(Payload(bytes: []))
        _ = transfers[accepting.machine.ring.transfer]?.step { $0.decided(.accept(payload), now: now) }
        #expect(transfers.deadline == now + TransferDefaults.answerTimeout)
    }

    @Test func whatIsSaidNamesTheSideThatWasCut() throws {
        let transfer = try transfer()
        let gone = ClientError.transfer(TransferFailure(.senderGone, side: .receiver, peer: Samples.alice))
        #expect(transfer.news(of: gone) == "the connection of alice was cut; it goes on when alice is back")
        #expect(
            transfer.news(of: .stream(.cut)) == "our own connection was cut; it goes on when alice sends it again")
        #expect(IncomingTransfer.problem(gone).code == "sender_gone")
        let lost = ConnectionError(.session, "lost", advice: "look", status: .unreachable)
        #expect(IncomingTransfer.problem(.connection(lost)).code == "receiver_gone")
        #expect(IncomingTransfer.problem(.tooLarge).code == "too_large")
        #expect(IncomingTransfer.problem(.sealing(.doesNotOpen(.chunk))).code == "verification_failed")
        #expect(IncomingTransfer.problem(.interrupted).status == .interrupted)
    }

    @Test func theSenderHearsNowAndThenHowFarItIs() {
        let clock = ManualClock()
        let pace = ProgressPace(now: clock.now())
        #expect(!pace.isDue(now: clock.now()))
        clock.advance(to: clock.now() + Defaults.progressInterval)
        #expect(pace.isDue(now: clock.now()))
        #expect(!pace.isDue(now: clock.now()))
    }

    @Test func answersAreAboutTheTransferTheyWereAskedFor() throws {
        let first = try transfer()
        let id = first.machine.ring.transfer
        let answer = outbox.nextID(about: id)
        #expect(outbox.transfer(of: .ok(.init(id: answer))) == id)
        #expect(outbox.transfer(of: .ok(.init(id: outbox.nextID()))) == nil)
        outbox.forget(id)
        #expect(outbox.transfer(of: .ok(.init(id: answer))) == nil)
    }
}
