// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

@Suite(.timeLimit(.minutes(1))) struct ReceiverTests {
    private static let content = "content"
    private static let summary = ContentSummary(size: 7, digest: [UInt8](repeating: 7, count: 32))

    /// The content of one download comes, and ends well.
    private func complete(_ receiving: ReceivingFixture) async throws {
        let download = try #require(receiving.relay.downloads.last)
        try await download.request.sink.write(ByteBuffer(string: Self.content))
        download.end(.success(Self.summary))
    }

    /// The `delivered` that were said, with their ids.
    private func delivered(_ receiving: ReceivingFixture) -> [ClientMessage.Delivered] {
        receiving.relay.said.compactMap { if case .delivered(let delivered) = $0 { delivered } else { nil } }
    }

    private func declines(_ receiving: ReceivingFixture) -> [ClientMessage.Decline] {
        receiving.relay.said.compactMap { if case .decline(let decline) = $0 { decline } else { nil } }
    }

    /// One transfer from its ring to the `delivered`, which the relay acknowledges if it `isHeard`.
    private func receive(_ receiving: ReceivingFixture, _ name: String = "file", isHeard: Bool = true) async throws {
        let transfer = try receiving.ring(name)
        try await receiving.start(transfer)
        try await complete(receiving)
        await receiving.session.run { delivered(receiving).contains { $0.transfer == transfer } }
        guard isHeard else { return }
        let said = try #require(delivered(receiving).last)
        receiving.relay.lines.last?.say([.ok(.init(id: said.id))])
        let count = try receiving.session.events("received").count
        try await receiving.session.run { try receiving.session.events("received").count > count }
    }

    @Test func whatIsOfferedIsAskedAboutAcceptedAndStored() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        try await receive(receiving)
        #expect(receiving.session.endings == [.status(.done)])
        #expect(try receiving.folder.content(receiving.folder.path + "/file") == Self.content)
        #expect(receiving.asked.labels.map(\.name) == ["file"])
        #expect(try receiving.session.events("ready", "offered", "verifying", "received").count == 4)
        let said = try #require(delivered(receiving).first)
        #expect(PayloadCoding.delivered(said.payload)?.confirms(Self.summary) == true)
    }

    @Test func aRefusalOfThePersonIsTold() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        receiving.asked.answer(false)
        await receiving.present()
        _ = try receiving.ring()
        await receiving.session.run { !declines(receiving).isEmpty }
        #expect(declines(receiving).map(\.code) == [.declined])
        // It was not the one file that is waited for.
        #expect(receiving.session.endings == [nil])
        #expect(try receiving.folder.listing().isEmpty)
    }

    @Test func whatIsTooLargeOrMakesNoSenseIsDeclinedUnasked() async throws {
        let receiving = try ReceivingFixture(maximumSize: 6)
        await receiving.present()
        _ = try receiving.ring()
        receiving.ring(.random(), try #require(Payload(bytes: Array("{}".utf8))))
        await receiving.session.run { declines(receiving).count == 2 }
        #expect(declines(receiving).map(\.code) == [.tooLarge, .protocolError])
        #expect(receiving.asked.labels.isEmpty)
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
        try await complete(receiving)
        await receiving.session.run { !delivered(receiving).isEmpty }
        receiving.relay.lines[0].say([.ok(.init(id: try #require(delivered(receiving).first).id))])
        await receiving.session.run { receiving.relay.accepts.count == Defaults.parallelSmallDownloads + 1 }
        #expect(receiving.relay.accepts[transfers[Defaults.parallelDownloads]] != nil)
    }

    @Test func whatBrokeComesAgainWithoutAQuestionAndAsTheSameTransfer() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        let first = try receiving.ring()
        try await receiving.start(first)
        receiving.relay.lines[0].say([
            .failed(.init(id: .sequence(.relay, 9), transfer: first, code: .senderGone, by: .relay))
        ])
        try await receiving.session.run { try receiving.session.events("interrupted").count == 1 }
        try await receive(receiving)
        #expect(receiving.asked.labels.count == 1)
        let received = try receiving.session.lines().filter { $0.contains("\"event\":\"received\"") }
        #expect(received.count == 1 && received[0].contains(first.rawValue))
        #expect(try receiving.folder.listing() == ["file"])
    }

    @Test func whatIsOfferedUnderAnotherNameIsAskedAbout() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        let first = try receiving.ring()
        try await receiving.start(first)
        receiving.relay.lines[0].say([
            .failed(.init(id: .sequence(.relay, 9), transfer: first, code: .senderGone, by: .relay))
        ])
        try await receiving.session.run { try receiving.session.events("interrupted").count == 1 }
        _ = try await receiving.acceptance(of: try receiving.ring("other"))
        #expect(receiving.asked.labels.map(\.name) == ["file", "other"])
    }

    /// A sender may have been told to go on for days.
    @Test(arguments: [false, true]) func whatBrokeIsWaitedForAsLongAsItsSenderMayGoOn(comesBack: Bool) async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        let first = try receiving.ring()
        try await receiving.start(first)
        receiving.relay.lines[0].say([
            .failed(.init(id: .sequence(.relay, 9), transfer: first, code: .senderGone, by: .relay))
        ])
        try await receiving.session.run { try receiving.session.events("interrupted").count == 1 }
        for _ in 1...4 { receiving.session.passTime(.minutes(15)) }
        receiving.session.passTime(.hours(48))
        #expect(receiving.session.endings == [nil])
        if comesBack {
            try await receive(receiving)
            #expect(receiving.session.endings == [.status(.done)])
            #expect(receiving.asked.labels.count == 1)
        } else {
            // Its time is over: it says so.
            let last = try receiving.ring()
            receiving.relay.lines[0].say([
                .failed(.init(id: .sequence(.relay, 9), transfer: last, code: .timedOut, by: .peer))
            ])
            await receiving.session.runToEnd()
            #expect(receiving.session.endings == [.status(.gaveUp)])
            #expect(try receiving.session.events("failed").count == 1)
        }
    }

    @Test func whatIsHereIsConfirmedWithoutASecondDownload() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        try await receive(receiving, isHeard: false)
        // The word is lost with the connection, and the receiver stays for the sender to come back.
        receiving.relay.lines[0].lose(
            ConnectionError(closed: nil, reason: .lost, relay: receiving.session.environment.relay))
        try await receiving.session.run { try receiving.session.events("received").count == 1 }
        #expect(receiving.session.endings == [nil])
        await receiving.present(2)
        // Another file is not taken meanwhile.
        _ = try receiving.ring("other", isKnown: false)
        let second = try receiving.ring()
        let id = try await receiving.acceptance(of: second)
        receiving.relay.lines[1].say([
            .start(
                .init(id: id, transfer: second, role: .download, token: .random(), url: "/", expires: 60, payload: nil))
        ])
        await receiving.session.run { delivered(receiving).count == 2 }
        receiving.relay.lines[1].say([.ok(.init(id: try #require(delivered(receiving).last).id))])
        await receiving.session.runToEnd()
        #expect(receiving.session.endings == [.status(.done)])
        #expect(receiving.relay.downloads.count == 1 && receiving.relay.accepts.count == 2)
        #expect(try receiving.folder.listing() == ["file"])
    }

    @Test func aSenderThatDoesNotComeBackIsNotWaitedForForEver() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        try await receive(receiving, isHeard: false)
        // No answer to `delivered` either.
        receiving.session.passTime(ProtocolDefaults.answerTimeout)
        #expect(try receiving.session.events("received", "warning") == ["received", "warning"])
        receiving.session.passTime(TransferDefaults.confirmationPatience)
        #expect(receiving.session.endings == [.status(.done)])
    }

    @Test func aContentThatIsNotWhatWasSentIsToldAndThrownAway() async throws {
        let receiving = try ReceivingFixture(isOnce: true)
        await receiving.present()
        let transfer = try receiving.ring()
        try await receiving.start(transfer)
        receiving.relay.downloads[0].end(.failure(.content(.verificationFailed)))
        await receiving.session.runToEnd()
        #expect(receiving.relay.cancels.map(\.code) == [.verificationFailed])
        #expect(receiving.session.endings == [.status(.corrupt)])
    }

    @Test func aStreamThatBrokeIsSaidToBeThisSides() async throws {
        let receiving = try ReceivingFixture()
        await receiving.present()
        try await receiving.start(try receiving.ring())
        receiving.relay.downloads[0].end(.failure(.stream(.cut)))
        await receiving.session.run { receiving.session.session.deadline != nil }
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

    @Test func aNodeThatDoesNotAnswerIsLeft() async throws {
        let receiving = try ReceivingFixture(isTrusting: true)
        await receiving.present()
        _ = try await receiving.acceptance(of: try receiving.ring())
        receiving.session.passTime(ProtocolDefaults.answerTimeout)
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
        receiving.relay.lines[0].say([
            .failed(.init(id: .sequence(.relay, 9), transfer: running, code: .cancelled, by: .peer))
        ])
        await receiving.present(2)
        #expect(receiving.relay.lines[0].isClosed)
    }

    @Test func aFirstConnectionThatIsRefusedIsTheEnd() async throws {
        let refused = ConnectionError(.certificate, "not trusted", advice: "look", status: .refused)
        let relay = FakeRelay()
        relay.refuse(refused)
        let folder = try ReceivedFolder()
        let session = try SessionFixture(relay) { environment, queue in
            let settings = ReceiveSettings(policy: ReceivePolicy(), output: .folder(folder.directory))
            return [Receiver(settings, ask: nil, environment: environment, queue: queue)]
        }
        await session.runToEnd()
        #expect(session.endings == [.failed(.connection(refused))])
    }

    @Test func theCommandRunsForEachFile() async throws {
        let temporary = try ReceivedFolder()
        let receiving = try ReceivingFixture(
            isTrusting: true, command: "printf %s \"$RELAY_FROM\" >'\(temporary.path)/told'")
        await receiving.present()
        try await receive(receiving)
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try temporary.content(temporary.path + "/told") == "alice")
    }
}
