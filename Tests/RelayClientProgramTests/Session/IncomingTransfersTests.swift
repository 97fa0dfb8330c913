// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

@Suite struct IncomingTransfersTests {
    private let outbox = Outbox(FakeLine(FakeRelay(), number: 1), number: 1)
    private let key = OfferMemory.Key(sender: .random(), identity: .random())

    private func label(_ transfer: TransferID, _ name: String = "file", size: UInt64? = 7) -> TransferLabel {
        TransferLabel(transfer: transfer, direction: .receive, peer: Samples.alice, name: name, size: size)
    }

    private func transfer(_ name: String = "file", size: UInt64? = 7) throws -> IncomingTransfer {
        let id = TransferID.random()
        let ring = ServerMessage.Ring(
            id: .sequence(.relay, 1), transfer: id, from: Samples.alice, key: key.sender, exchangeKey: .random(),
            payload: try #require(Payload(bytes: []))
        )
        return IncomingTransfer(ring, key: key, label: label(id, name, size: size), on: outbox)
    }

    private func running(_ transfer: IncomingTransfer) -> IncomingTransfer {
        var running = transfer
        running.sink = StandardOutputSink(descriptor: -1)
        return running
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

    @Test func thoseThatRunAreCountedByTheirSize() throws {
        var transfers = IncomingTransfers()
        transfers.append(try transfer())
        transfers.append(running(try transfer(size: Defaults.smallContent)))
        transfers.append(running(try transfer(size: Defaults.smallContent + 1)))
        transfers.append(running(try transfer(size: nil)))
        #expect(transfers.running == (large: 2, all: 3))
    }

    @Test func theSameOfferIsRecognizedBeforeTheOldOneIsThrough() throws {
        var transfers = IncomingTransfers()
        let old = running(try transfer())
        transfers.append(old)
        var again = label(.random())
        #expect(transfers.recognize(key, &again) && again.transfer == old.label.transfer)
        #expect(transfers.isBusy(try transfer()))
        // Another name, another size, or no identity, is another offer.
        for (other, key) in [
            (label(.random(), "other"), key), (label(.random(), size: 8), key), (label(.random()), nil),
        ] {
            var other = other
            let id = other.transfer
            #expect(!transfers.recognize(key, &other) && other.transfer == id)
        }
    }

    @Test func whatBrokeIsShownAsTheTransferThatItWas() throws {
        var transfers = IncomingTransfers()
        let old = label(.random())
        let problem = OfferMemory.Problem(code: "sender_gone", message: "cut", status: .unreachable)
        _ = transfers.memory.rememberAcceptance(key, old, problem)
        var again = label(.random())
        #expect(transfers.recognize(key, &again) && again == old)
        #expect(transfers.recalled(try transfer())?.problem == problem)
        #expect(transfers.recalled(try transfer("other")) == nil)
        #expect(transfers.stored(key, again) == nil)
        let summary = ContentSummary(size: 7, digest: [])
        _ = transfers.memory.finished(key, summary)
        let unknown = transfers.recalled(try transfer())
        #expect(transfers.stored(key, again) == summary && unknown == nil)
        #expect(transfers.stored(nil, again) == nil)
    }

    @Test func theDeadlineIsTheFirstOfAll() throws {
        var transfers = IncomingTransfers()
        #expect(transfers.deadline == nil)
        let now = NIODeadline.uptimeNanoseconds(0)
        let problem = OfferMemory.Problem(code: "sender_gone", message: "cut", status: .unreachable)
        _ = transfers.memory.rememberAcceptance(key, label(.random()), problem)
        // What broke is waited for without an end.
        #expect(transfers.deadline == nil)
        let accepting = try transfer()
        transfers.append(accepting)
        let payload = try #require(Payload(bytes: []))
        _ = transfers[accepting.machine.ring.transfer]?.step { $0.decided(.accept(payload), now: now) }
        #expect(transfers.deadline == now + ProtocolDefaults.answerTimeout)
    }

    @Test func whatIsSaidNamesTheSideThatWasCut() throws {
        let transfer = try transfer()
        let gone = ClientError.transfer(TransferFailure(.senderGone, side: .receiver, peer: Samples.alice))
        #expect(transfer.news(of: gone) == "the connection of alice was cut; it begins again when alice is back")
        #expect(
            transfer.news(of: .stream(.cut)) == "our own connection was cut; it begins again when alice sends it again")
        #expect(IncomingTransfer.problem(gone).code == "sender_gone")
        let lost = ConnectionError(.session, "lost", advice: "look", status: .unreachable)
        #expect(IncomingTransfer.problem(.connection(lost)).code == "receiver_gone")
        #expect(IncomingTransfer.problem(.content(.tooLarge)).code == "too_large")
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
