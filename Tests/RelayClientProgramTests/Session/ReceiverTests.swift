// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Sealing
import Synchronization
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

@Suite(.timeLimit(.minutes(5))) struct ReceiverTests {
    private static let content = "content"

    @Test func whatIsOfferedIsAskedAboutAcceptedAndStored() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        try await receiving.receive()
        #expect(receiving.session.endings == [.status(.done)])
        #expect(try receiving.folder.content(receiving.folder.path + "/file") == Self.content)
        #expect(receiving.asked.labels.map(\.name) == ["file"])
        #expect(try receiving.session.events("ready", "offered", "verifying", "received").count == 4)
        let (summary, digest) = try receiving.delivered(try #require(receiving.deliveries.first))
        #expect(summary == DeliveredSummary(manifest: digest, entries: 1, bytes: 7))
    }

    @Test func aRefusalOfThePersonIsTold() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        receiving.asked.answer(false)
        await receiving.present()
        _ = try receiving.ring()
        await receiving.session.run { !receiving.relay.declines.isEmpty }
        #expect(receiving.relay.declines.map(\.code) == [.declined])
        // It was not the one file that is waited for.
        #expect(receiving.session.endings == [nil])
        #expect(try receiving.folder.listing().isEmpty)
    }

    @Test func whatIsTooLargeOrMakesNoSenseIsDeclinedUnasked() async throws {
        let receiving = try ReceivingFixture(maximumSize: 6)
        await receiving.present()
        _ = try receiving.ring()
        var ring = try receiving.alice.ring(
            try receiving.alice.offer(
                OfferSummary(names: ["file"], kind: .file), to: receiving.session.environment.sealing)
        )
        ring.payload = try #require(Payload(bytes: Array("{}".utf8)))
        receiving.ring(ring)
        await receiving.session.run { receiving.relay.declines.count == 2 }
        #expect(receiving.relay.declines.map(\.code) == [.tooLarge, .protocolError])
        #expect(receiving.asked.labels.isEmpty && receiving.relay.accepts.isEmpty)
    }

    @Test func onlySoManyComeAtOnceAndTheOthersWaitForTheirTurn() async throws {
        let receiving = try ReceivingFixture(isTrusting: true)
        await receiving.present()
        let size = Defaults.smallContent + 1
        let transfers = try (1...Defaults.parallelDownloads + 2).map {
            try receiving.ring("f\($0)", size: size, isKnown: false)
        }
        for transfer in transfers.prefix(Defaults.parallelDownloads) { try await receiving.start(transfer) }
        #expect(receiving.relay.accepts.count == Defaults.parallelDownloads)
        // Small ones hardly cost anything, and go besides.
        let small = try (1...Defaults.parallelSmallDownloads).map { try receiving.ring("s\($0)", isKnown: false) }
        let places = Defaults.parallelSmallDownloads - Defaults.parallelDownloads
        for transfer in small.prefix(places) { _ = try await receiving.acceptance(of: transfer) }
        #expect(receiving.relay.accepts.count == Defaults.parallelSmallDownloads)
        try receiving.complete()
        await receiving.session.run { !receiving.deliveries.isEmpty }
        receiving.relay.lines[0].say([.ok(.init(id: try #require(receiving.deliveries.first).id))])
        await receiving.session.run { receiving.relay.accepts.count == Defaults.parallelSmallDownloads + 1 }
        #expect(receiving.relay.accepts[transfers[Defaults.parallelDownloads]] != nil)
    }

    @Test func whatBrokeComesAgainWithoutAQuestionAndAsTheSameTransfer() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        let first = try await receiving.broken()
        try await receiving.receive()
        #expect(receiving.asked.labels.count == 1)
        let received = try receiving.session.lines().filter { $0.contains("\"event\":\"received\"") }
        #expect(received.count == 1 && received[0].contains(first.rawValue))
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try receiving.folder.listing() == ["file"])
    }

    @Test func whatIsOfferedUnderAnotherNameIsAskedAbout() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        _ = try await receiving.broken()
        _ = try await receiving.acceptance(of: try receiving.ring("other"))
        #expect(receiving.asked.labels.map(\.name) == ["file", "other"])
    }

    /// A sender may have been told to go on for days.
    @Test(arguments: [false, true]) func whatBrokeIsWaitedForAsLongAsItsSenderMayGoOn(comesBack: Bool) async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        _ = try await receiving.broken()
        for _ in 1...4 { receiving.session.passTime(.minutes(15)) }
        receiving.session.passTime(.hours(48))
        #expect(receiving.session.endings == [nil])
        if comesBack {
            try await receiving.receive()
            #expect(receiving.session.endings == [.status(.done)])
            #expect(receiving.asked.labels.count == 1)
        } else {
            // Its time is over: it says so.
            let last = try receiving.ring()
            receiving.fail(last, .timedOut, by: .peer)
            await receiving.session.runToEnd()
            #expect(receiving.session.endings == [.status(.gaveUp)])
            #expect(try receiving.session.events("failed").count == 1)
        }
    }

    @Test func whatIsHereIsConfirmedWithoutItsContentComingTwice() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        try await receiving.receive(isHeard: false)
        // The word is lost with the connection, and the receiver stays for the sender to come back.
        receiving.relay.lines[0].lose(
            ConnectionError(closed: nil, reason: .lost, relay: receiving.session.environment.relay))
        try await receiving.session.run { try receiving.session.events("received").count == 1 }
        #expect(receiving.session.endings == [nil])
        await receiving.present(2)
        // Another file is not taken meanwhile.
        _ = try receiving.ring("other", isKnown: false)
        let second = try receiving.ring()
        try await receiving.start(second)
        // Its sender is told that nothing is missing, and sends nothing of it.
        let acceptance = try receiving.agreed(second).acceptance
        #expect(acceptance == Acceptance(position: TransferPosition(file: 1, offset: 0)))
        let lines = try receiving.session.events("offered", "started", "verifying")
        try receiving.complete()
        await receiving.session.run { receiving.deliveries.count == 2 }
        let (first, last) = (receiving.deliveries[0], receiving.deliveries[1])
        #expect(try receiving.delivered(first).summary == receiving.delivered(last).summary)
        #expect(first.payload != last.payload)
        receiving.relay.lines[1].say([.ok(.init(id: last.id))])
        await receiving.session.runToEnd()
        #expect(receiving.session.endings == [.status(.done)])
        #expect(receiving.relay.accepts.count == 2 && receiving.asked.labels.count == 1)
        // The person has seen all of this before.
        #expect(try receiving.session.events("offered", "started", "verifying") == lines)
        #expect(try receiving.session.events("received", "offered").count == 2)
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try receiving.folder.listing() == ["file"])
    }

    @Test func aSenderThatDoesNotComeBackIsNotWaitedForForEver() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        try await receiving.receive(isHeard: false)
        // No answer to `delivered` either.
        receiving.session.passTime(TransferDefaults.answerTimeout)
        #expect(try receiving.session.events("received", "warning") == ["received", "warning"])
        receiving.session.passTime(TransferDefaults.confirmationPatience)
        #expect(receiving.session.endings == [.status(.done)])
    }

    @Test func aContentThatIsNotWhatWasSentIsToldAndThrownAway() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        let transfer = try receiving.ring()
        try await receiving.start(transfer)
        var bytes = try receiving.stream(of: transfer)
        bytes[bytes.count - 20] ^= 1
        receiving.relay.downloads[0].bring(bytes)
        await receiving.session.runToEnd()
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(receiving.relay.cancels.map(\.code) == [.verificationFailed])
        #expect(receiving.session.endings == [.status(.corrupt)])
        #expect(try receiving.folder.listing().isEmpty)
    }

    // MARK: - Going on

    /// What was durable is not sent again; what alice sends is held to what is here.
    @Test func whatBrokeGoesOnFromWhereItWas() async throws {
        let receiving = try ReceivingFixture()
        let size: UInt64 = 1_000_000
        await receiving.present()
        let first = try receiving.ring(size: size)
        try await receiving.start(first)
        let stream = try receiving.stream(of: first)
        _ = try receiving.relay.downloads[0].request.opening.take(
            [ByteBuffer(bytes: stream.prefix(stream.count / 2))], on: BlockingThread())
        receiving.relay.downloads[0].end(.failure(.stream(.cut)))
        await receiving.session.run { receiving.session.isDue }
        receiving.session.passTime()
        try await receiving.session.run { try receiving.session.events("interrupted").count == 1 }
        // Another run of the program could go on with it as well.
        let records = receiving.session.environment.records
        let left = try records.all(now: Samples.now)
        #expect(left.map(\.transfer.shown) == [first] && left.map(\.peer) == [receiving.alice.party])
        let second = try receiving.ring(size: size)
        try await receiving.start(second)
        let acceptance = try receiving.agreed(second).acceptance
        #expect(acceptance.position.file == 0 && acceptance.position.offset > size / 3)
        #expect(!acceptance.samples.isEmpty)
        #expect(try receiving.stream(of: second).count < stream.count * 2 / 3)
        try receiving.complete()
        await receiving.session.run { !receiving.deliveries.isEmpty }
        let content = try receiving.folder.content(receiving.folder.path + "/file")
        #expect(Array(content.utf8) == SentFiles.content(Int(size)))
        #expect(receiving.asked.labels.count == 1)
        receiving.relay.lines[0].say([.ok(.init(id: try #require(receiving.deliveries.last).id))])
        try await receiving.session.run { try receiving.session.events("received").count == 1 }
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try records.all(now: Samples.now).isEmpty && receiving.folder.listing() == ["file"])
    }

    /// What was sent before a loss is in the kernels on the way: it comes first, and is not sent again.
    @Test func whatIsStillOnItsWayAfterALossComesBeforeTheNextAttempt() async throws {
        let receiving = try ReceivingFixture()
        let size: UInt64 = 1_000_000
        await receiving.present()
        receiving.relay.runDownloads()
        let first = try receiving.ring(size: size)
        try await receiving.start(first)
        let stream = try receiving.stream(of: first)
        let download = receiving.relay.downloads[0]
        _ = try download.request.opening.take(
            [ByteBuffer(bytes: stream.prefix(stream.count / 4))], on: BlockingThread())
        receiving.relay.lines[0].say([
            .failed(.init(id: .sequence(.relay, 9), transfer: first, code: .senderGone, by: .relay))
        ])
        try await receiving.session.run { try receiving.session.events("interrupted").count == 1 }
        let second = try receiving.ring(size: size)
        _ = try download.request.opening.take(
            [ByteBuffer(bytes: stream[(stream.count / 4)..<(stream.count * 3 / 4)])], on: BlockingThread())
        #expect(receiving.relay.accepts[second] == nil)
        download.end(.failure(.stream(.cut)))
        try await receiving.start(second)
        #expect(try receiving.agreed(second).acceptance.position.offset > size * 2 / 3)
        #expect(receiving.relay.cutDownloads == 0)
        receiving.relay.downloads.last?.end(.failure(.stream(.cut)))
    }

    /// The sender has not heard that it was accepted, and offers it once more as the same attempt.
    @Test(arguments: [false, true]) func aLossWhileAPlaceIsLookedForLeavesNoneBehind(isSameAttempt: Bool) async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        let first = try receiving.ring()
        await receiving.session.run {
            (receiving.session.session.parts.first as? Receiver)?.transfers[first]?.isRunning ?? false
        }
        let relay = receiving.session.environment.relay
        receiving.session.handle(.ended(1, ConnectionError(closed: nil, reason: .lost, relay: relay)))
        #expect(try receiving.session.events("interrupted", "failed") == ["interrupted"])
        receiving.session.passTime()
        await receiving.present(2)
        let second = isSameAttempt ? first : try receiving.ring()
        if isSameAttempt { try receiving.ringAgain(first) }
        try await receiving.start(second)
        try receiving.complete()
        await receiving.session.run { !receiving.deliveries.isEmpty }
        receiving.relay.lines[1].say([.ok(.init(id: try #require(receiving.deliveries.last).id))])
        try await receiving.session.run { try receiving.session.events("received").count == 1 }
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try receiving.folder.listing() == ["file"] && receiving.asked.labels.count == 1)
    }

    @Test func anAnswerToAQuestionThatWasCutIsNoneToTheNextOne() async throws {
        let receiving = try ReceivingFixture()
        receiving.asked.answer(nil)
        await receiving.present()
        let attempt = try receiving.ring()
        try await receiving.session.run { try receiving.session.events("offered").count == 1 }
        var questions = receiving.asked.unanswered.makeAsyncIterator()
        let first = try #require(await questions.next())
        let relay = receiving.session.environment.relay
        receiving.session.handle(.ended(1, ConnectionError(closed: nil, reason: .lost, relay: relay)))
        receiving.session.passTime()
        await receiving.present(2)
        try receiving.ringAgain(attempt)
        try await receiving.session.run { try receiving.session.events("offered").count == 2 }
        let second = try #require(await questions.next())
        first.resume(returning: false)
        receiving.asked.answer(true)
        let other = try receiving.ring("other", isKnown: false)
        await receiving.session.run { receiving.relay.accepts[other] != nil }
        second.resume(returning: true)
        await receiving.session.run { receiving.relay.accepts[attempt] != nil || !receiving.relay.declines.isEmpty }
        #expect(receiving.relay.declines.isEmpty)
    }

    @Test func whatTheSenderHasEndedIsCutAtOnce() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        receiving.relay.runDownloads()
        let first = try receiving.ring()
        try await receiving.start(first)
        receiving.relay.lines[0].say([
            .failed(.init(id: .sequence(.relay, 9), transfer: first, code: .cancelled, by: .peer))
        ])
        await receiving.session.run { receiving.relay.cutDownloads == 1 }
        #expect(receiving.relay.cutDownloads == 1)
    }

    @Test func aDownloadThatBringsNothingMoreIsCutAfterALoss() async throws {
        let summary = DeliveredSummary(manifest: [UInt8](repeating: 1, count: 32), entries: 1, bytes: 7)
        let sink = FinishedSink(FinishedTransfer(delivered: summary, files: 1))
        let (silence, end) = AsyncStream<Void>.makeStream()
        let work = Task { for await _ in silence {} }
        await DrainWatch(work, into: sink, clock: JumpingClock()).finish()
        #expect(work.isCancelled)
        end.finish()
    }

    /// A receiver that goes on with one transfer leaves others to other sessions of its name.
    @Test func onlyTheTransferThatIsGoneOnWithIsTaken() async throws {
        let transfer = CarriedTransfer.random()
        let receiving = try ReceivingFixture(isOnce: true, isTrusting: true, only: transfer)
        await receiving.present()
        _ = try receiving.ring()
        try await receiving.receive("wanted", as: transfer)
        #expect(receiving.session.endings == [.status(.done)])
        #expect(receiving.relay.declines.isEmpty && receiving.relay.acceptances == 1)
        #expect(try receiving.session.events("offered").count == 1)
    }

    @Test(arguments: [false, true]) func theChecksumIsThatOfTheFileAndOnlyForThoseWhoWantIt(isWanted: Bool) async throws
    {
        let receiving = try ReceivingFixture(printsChecksums: isWanted)
        await receiving.present()
        try await receiving.receive()
        let line = try #require(try receiving.session.lines().last { $0.contains("\"event\":\"received\"") })
        // sha256sum of "content".
        let digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
        #expect(line.contains(digest) == isWanted && line.contains("sha256") == isWanted, "\(line)")
    }

    @Test func aStreamThatBrokeIsSaidToBeThisSides() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        try await receiving.start(try receiving.ring())
        receiving.relay.downloads[0].end(.failure(.stream(.cut)))
        await receiving.session.run { receiving.session.isDue }
        receiving.session.passTime()
        #expect(try receiving.session.events("interrupted").count == 1)
        #expect(receiving.relay.cancels.map(\.code) == [.receiverGone])
    }

    @Test func anInterruptDeclinesWhatIsAskedAndCancelsWhatRuns() async throws {
        let receiving = try ReceivingFixture(isTrusting: true)
        await receiving.present()
        let running = try receiving.ring(isKnown: false)
        try await receiving.start(running)
        receiving.session.handle(.interrupted)
        #expect(receiving.session.endings == [.status(.interrupted)])
        #expect(receiving.relay.cancels.map(\.transfer) == [running])
    }

    @Test(arguments: [(1_300, 1), (500, 0)]) func aRelayThatHoldsEachAnswerBackIsSaidToBeSlowOnce(
        _ wait: Int64, _ notices: Int
    ) async throws {
        let receiving = try ReceivingFixture(isTrusting: true)
        await receiving.present()
        for number in 1...5 {
            let transfer = try receiving.ring("f\(number)", isKnown: false)
            _ = try await receiving.acceptance(of: transfer)
            let clock = receiving.session.clock
            clock.advance(to: clock.now() + .milliseconds(wait))
            try await receiving.start(transfer)
        }
        #expect(receiving.relay.downloads.count == 5)
        #expect(try receiving.session.events("notice").count == notices)
    }

    @Test func aLimitIsToldInTheRelaysWords() async throws {
        let receiving = try ReceivingFixture(isTrusting: true)
        await receiving.present()
        let id = try await receiving.acceptance(of: try receiving.ring())
        let said = "bob has as many accepted transfers as there may be (1): wait until some of them are over"
        receiving.relay.lines[0].say([.error(.init(id: id, code: .tooManyTransfers, message: said))])
        try await receiving.session.run { try receiving.session.events("interrupted").count == 1 }
        let line = try #require(try receiving.session.lines().first { $0.contains("\"event\":\"interrupted\"") })
        #expect(line.contains("the relay says: \(said); it goes on when alice sends it again"))
    }

    @Test func aNodeThatDoesNotAnswerIsLeft() async throws {
        let receiving = try ReceivingFixture(isTrusting: true)
        await receiving.present()
        _ = try await receiving.acceptance(of: try receiving.ring())
        receiving.session.passTime(TransferDefaults.answerTimeout)
        await receiving.present(2)
        #expect(receiving.relay.lines[0].isClosed)
        #expect(try receiving.session.events("reconnecting", "reconnected") == ["reconnecting", "reconnected"])
    }

    @Test func aNodeThatStopsIsLeftOnceNothingRuns() async throws {
        let receiving = try ReceivingFixture(isTrusting: true)
        await receiving.present()
        let running = try receiving.ring(isKnown: false)
        try await receiving.start(running)
        let id = try await receiving.acceptance(of: try receiving.ring(isKnown: false))
        receiving.relay.lines[0].say([.error(.init(id: id, code: .draining, message: ""))])
        try await receiving.session.run { try receiving.session.events("interrupted").count == 1 }
        #expect(try receiving.session.events("reconnecting").isEmpty && !receiving.relay.lines[0].isClosed)
        receiving.fail(running, .cancelled, by: .peer)
        await receiving.present(2)
        #expect(receiving.relay.lines[0].isClosed)
    }

    @Test func aFirstConnectionThatIsRefusedIsTheEnd() async throws {
        let refused = ConnectionError(.certificate, "not trusted", advice: "look", status: .refused)
        let relay = FakeRelay()
        relay.refuse(refused)
        let folder = try ReceivedFolder()
        let session = try SessionFixture(relay) { environment, queue in
            let settings = ReceiveSettings(policy: ReceivePolicy(), output: .folder(folder.parts()))
            return [Receiver(settings, ask: nil, environment: environment, queue: queue)]
        }
        await session.runToEnd()
        #expect(session.endings == [.failed(.connection(refused))])
    }

    @Test func theCommandRunsForEachFile() async throws {
        let temporary = try ReceivedFolder()
        let receiving = try ReceivingFixture(
            isTrusting: true, command: FileCommand(shell: "printf %s \"$RELAY_FROM\" >'\(temporary.path)/told'"))
        await receiving.present()
        try await receiving.receive()
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try temporary.content(temporary.path + "/told") == "alice")
    }
}

/// A clock that is at once where it is waited for.
private final class JumpingClock: SessionClock {
    private let time = Mutex(NIODeadline.uptimeNanoseconds(1_000_000_000))

    func now() -> NIODeadline { time.withLock { $0 } }

    func wake(at deadline: NIODeadline, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
        time.withLock { $0 = max($0, deadline) }
        let task = Task { action() }
        return { task.cancel() }
    }
}
