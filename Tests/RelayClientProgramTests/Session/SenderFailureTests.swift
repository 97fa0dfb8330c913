// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// What a sender does when something is not as it should be.
@Suite(.timeLimit(.minutes(5))) struct SenderFailureTests {
    private let files: SentFiles

    init() throws { files = try SentFiles() }

    private func tree(_ name: String = "file") throws -> SourceTree { try files.tree(name) }

    @Test func whatCannotBeReadAgainIsNotOfferedAgain() async throws {
        let relay = FakeRelay(uploadEnd: { _ in .cut })
        let sending = try await SessionFixture.broken(try files.pipe("content", isWhole: false), over: relay)
        await sending.runToEnd()
        // The receiver waits for it to come again, and hears that it does not.
        #expect(relay.offers.count == 2 && relay.uploads.count == 1)
        #expect(relay.cancels.map(\.code) == [.senderGone, .cannotRead])
        #expect(sending.endings != [.status(.done)])
        let line = try #require(try sending.lines().last)
        #expect(line.contains("cannot be read a second time; run the command again"))
    }

    /// All of it may be there, and only its sender not know.
    @Test(arguments: [false, true]) func aPipeThatWasReadWholeIsOfferedAgain(isThere: Bool) async throws {
        let relay = FakeRelay(
            answer: { offered in
                let position = TransferPosition(file: isThere && offered.number > 1 ? 1 : 0, offset: 0)
                return FakeRelay.acceptance(of: offered).dropLast() + [offered.start(Acceptance(position: position))]
            }, uploadEnd: { $0 == 1 ? .cut : nil })
        let sending = try await SessionFixture.broken(try files.pipe(), over: relay)
        await sending.runToEnd()
        #expect(relay.uploads.count == 2)
        #expect(try sending.events("delivered", "failed") == [isThere ? "delivered" : "failed"])
        #expect(relay.cancels.map(\.code) == (isThere ? [.senderGone] : [.senderGone, .cannotRead]))
        if !isThere {
            #expect(try sending.lines().contains { $0.contains("standard input cannot be read a second time") })
        }
    }

    /// Nothing of it is gone yet.
    @Test func aPipeThatWasNotReadFromIsOfferedAgain() async throws {
        let relay = FakeRelay { offered in
            guard offered.number == 1 else { return FakeRelay.acceptance(of: offered) }
            return FakeRelay.acceptance(of: offered).dropLast() + [offered.failed(.receiverGone, by: .relay)]
        }
        let sending = try SessionFixture.sending([try files.pipe()], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.offers.count == 2 && relay.cancels.isEmpty)
        #expect(try sending.events("delivered").count == 1)
    }

    /// A relay that takes all of one content, and whose receiver is gone before its word about it.
    private func unconfirmed() -> FakeRelay {
        FakeRelay(
            answer: { offered in
                guard offered.number == 1 else {
                    return [offered.state(.waiting)]
                }
                return FakeRelay.acceptance(of: offered)
            }, confirms: false)
    }

    @Test(arguments: [true, false]) func whatWasSentWholeIsNotToBeSentAgainUnseen(isFile: Bool) async throws {
        let relay = unconfirmed()
        let sending = try SessionFixture.sending([isFile ? try tree() : try files.pipe()], over: relay)
        try await sending.run { try sending.events("verifying").count == 1 }
        relay.lines[0].say([relay.offers[0].failed(.receiverGone, by: .relay)])
        await sending.runToPause()
        sending.passTime(TransferDefaults.firstPause)
        try await sending.run { try sending.events("waiting").count == 1 }
        sending.passTime(.minutes(10))
        await sending.runToEnd()
        let line = try #require(try sending.lines().last { $0.contains("\"event\":\"failed\"") })
        let advice =
            isFile
            ? "the same send asks again, and sends only what is missing there"
            : "ask bob whether it is there before you send it again"
        #expect(line.contains("everything was sent, and bob has not confirmed it; \(advice)"), "\(line)")
        #expect(!line.contains("try again") && !line.contains("run the command again"))
    }

    /// What a receiver says that it has, of a file of three bytes.
    @Test(arguments: [(0, 1, 4), (0, 2, 3), (1, 1, 3)]) func onlyTheReceiversWordAboutWhatWasSentIsADelivery(
        _ digest: UInt8, _ entries: UInt64, _ bytes: UInt64
    ) async throws {
        let tree = try tree()
        let relay = FakeRelay(
            answer: { offered in
                var manifest = tree.digest
                manifest[0] ^= digest
                let summary = DeliveredSummary(manifest: manifest, entries: entries, bytes: bytes)
                return FakeRelay.acceptance(of: offered) + [offered.delivered(summary)].compactMap { $0 }
            }, confirms: false)
        let sending = try SessionFixture.sending([tree], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.corrupt)])
        #expect(try sending.events("delivered", "failed") == ["failed"])
    }

    @Test func aDeliveryThatDoesNotOpenIsNotOne() async throws {
        let relay = FakeRelay(
            answer: { offered in
                let payload = Payload(bytes: [UInt8](repeating: 1, count: 65)) ?? offered.offer.payload
                return FakeRelay.acceptance(of: offered) + [
                    .delivered(.init(id: offered.id, transfer: offered.transfer, payload: payload))
                ]
            }, confirms: false)
        let sending = try SessionFixture.sending([try tree()], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.corrupt)])
        #expect(try sending.events("delivered", "failed") == ["failed"])
    }

    /// Behind its last file, within one that is shorter, sealed for no key that is known, and not there.
    @Test(arguments: 0..<5) func anAcceptanceThatMakesNoSenseEndsIt(_ number: Int) async throws {
        let relay = FakeRelay { offered in
            let start =
                switch number {
                case 0: offered.start(Acceptance(position: .init(file: 2, offset: 0)))
                case 1: offered.start(Acceptance(position: .init(file: 0, offset: 4)))
                case 2: offered.start(Acceptance(position: .init(file: 1, offset: 1)))
                case 3: offered.start(payload: offered.offer.payload)
                default: offered.start(payload: nil)
                }
            return FakeRelay.acceptance(of: offered).dropLast() + [start]
        }
        let sending = try SessionFixture.sending([try tree()], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.protocolBreach)])
        #expect(relay.cancels.map(\.code) == [.protocolError] && relay.uploads.isEmpty)
        #expect(relay.offers.count == 1)
    }

    /// A receiver that has a part of something else would end up with a mixture.
    @Test func whatTheReceiverHasIsComparedWithWhatThereIs() async throws {
        for isTheSame in [true, false] {
            let content = SentFiles.content(65_536).map { isTheSame ? $0 : ~$0 }
            let sample = SourceSample(file: 0, block: 0, content: content)
            let relay = FakeRelay { offered in
                guard offered.number == 1 else { return FakeRelay.acceptance(of: offered) }
                let position = TransferPosition(file: 0, offset: 65_536)
                return FakeRelay.acceptance(of: offered).dropLast() + [
                    offered.start(Acceptance(position: position, samples: [sample]))
                ]
            }
            let sending = try SessionFixture.sending([try files.tree(size: 70_000)], over: relay)
            await sending.runToEnd()
            #expect(sending.endings == [.status(.done)])
            // What it has is of another content, and this one comes as another transfer.
            #expect(relay.cancels.map(\.code) == (isTheSame ? [] : [.sourceChanged]))
            #expect(Set(relay.offers.map { $0.opened?.transfer }).count == (isTheSame ? 1 : 2))
            #expect(relay.uploads[0].acceptance.position.offset == 65_536)
        }
    }

    /// Whose limit it is, and how much that is, only the relay knows.
    @Test func aLimitIsToldInTheRelaysWords() async throws {
        let said = "carol has as many offers as there may be (1): wait until some of them are over"
        let relay = FakeRelay { offered in
            guard offered.number == 1 else { return FakeRelay.acceptance(of: offered) }
            return [.error(.init(id: offered.id, code: .tooManyTransfers, message: said))]
        }
        let sending = try SessionFixture.sending([try tree()], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)] && relay.offers.count == 2)
        let line = try #require(try sending.lines().first { $0.contains("\"event\":\"interrupted\"") })
        #expect(line.contains("the relay says: \(said); sending again"))
    }

    /// A relay's words stay words: on their line, and within bounds.
    @Test func whatARelaySaysMovesNoCursorAndEnds() {
        func shown(_ message: String) -> String? {
            ServerMessage.Refusal(id: .unknown, code: .tooManyTransfers, message: message).shownMessage
        }
        #expect(shown("") == nil && shown("too many (2)") == "too many (2)")
        #expect(shown("a\n\u{1B}[2Jb") == "a\\u{a}\\u{1b}[2Jb")
        #expect(shown(String(repeating: "a", count: 60_000))?.count == Defaults.relayMessage)
    }

    @Test func aRelayThatIsSlowIsSaidToBeOnce() async throws {
        let relay = FakeRelay { _ in [] }
        let sending = try SessionFixture.sending([try tree()], over: relay)
        await sending.run { relay.offers.count == 1 }
        for _ in 1...3 { sending.passTime(Defaults.slowAnswer) }
        #expect(try sending.events("notice").count == 1)
        #expect(sending.endings == [nil])
    }

    /// A little for each file is much for all of them.
    @Test(arguments: [(1_300, 1), (500, 0)]) func aRelayThatHoldsEachOfferBackIsSaidToBeSlowOnce(
        _ wait: Int64, _ notices: Int
    ) async throws {
        let relay = FakeRelay { _ in [] }
        let large = TransferDefaults.parallelSendBytes + 1
        let sending = try SessionFixture.sending(try (1...5).map { try files.tree("f\($0)", size: large) }, over: relay)
        for number in 1...5 {
            await sending.run { relay.offers.count == number }
            sending.clock.advance(to: sending.clock.now() + .milliseconds(wait))
            relay.lines[0].say(FakeRelay.acceptance(of: relay.offers[number - 1]))
            try await sending.run { try sending.events("delivered").count == number }
        }
        #expect(sending.endings == [.status(.done)])
        #expect(try sending.events("notice").count == notices)
    }

    @Test func aRelayThatDoesNotAnswerIsLeft() async throws {
        let relay = FakeRelay { offered in offered.number == 1 ? [] : FakeRelay.acceptance(of: offered) }
        let sending = try SessionFixture.sending([try tree()], over: relay)
        await sending.run { relay.offers.count == 1 }
        sending.passTime(TransferDefaults.answerTimeout)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.lines.count == 2 && relay.cancels.isEmpty)
    }

    @Test func aReceiverThatIsNotThereHoldsUpNoOther() async throws {
        let relay = FakeRelay { offered in
            offered.offer.to == Samples.bob ? [offered.state(.waiting)] : FakeRelay.acceptance(of: offered)
        }
        let sending = try SessionFixture.sending(
            [try tree("a"), try tree("b")], to: [Samples.bob, Samples.alice], over: relay)
        try await sending.run { try sending.events("delivered").count == 2 }
        // Alice has both, and bob is still waited for.
        #expect(sending.endings == [nil])
        #expect(relay.offers.map { "\($0.offer.to)\($0.offer.wait ? "+" : "")" } == ["bob+", "alice+", "alice+"])
        let first = try #require(relay.offers.first)
        relay.lines[0].say([first.state(.ringing)] + FakeRelay.acceptance(of: first))
        try await sending.run { try sending.events("delivered").count == 3 }
        await sending.run { relay.offers.count == 4 }
        #expect(relay.offers.last?.offer.to == Samples.bob)
    }

    @Test func withoutWaitingAReceiverThatIsNotThereIsAFailure() async throws {
        let relay = FakeRelay { offered in [.error(.init(id: offered.offer.id, code: .peerOffline, message: ""))] }
        let sending = try SessionFixture.sending([try tree()], over: relay, waits: false)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.unreachable)] && relay.offers.count == 1)
    }

    @Test func aFirstConnectionThatIsRefusedFailsAllThatWaitForIt() async throws {
        let relay = FakeRelay()
        for _ in 1...3 {
            relay.refuse(ConnectionError(.certificate, "not trusted", advice: "look", status: .refused))
        }
        let sending = try SessionFixture.sending([try tree("a"), try tree("b"), try tree("c")], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.refused)])
        #expect(try sending.events("failed").count == 3 && relay.offers.isEmpty)
    }

    @Test func anOutageIsWaitedForOnce() async throws {
        let relay = FakeRelay { offered in
            [offered.state(.waiting)]
        }
        let gone = ConnectionError(.tcp, "refused", advice: "look", status: .unreachable, isTemporary: true)
        let sending = try SessionFixture.sending([try tree("a"), try tree("b")], over: relay)
        try await sending.run { try sending.events("waiting").count == 1 }
        for _ in 1...3 { relay.refuse(gone) }
        relay.lines[0].lose(gone)
        await sending.run { relay.pauses.count == 3 }
        sending.passTime(.minutes(10))
        await sending.runToEnd()
        #expect(sending.endings == [.status(.gaveUp)])
        #expect(try sending.events("failed").count == 2 && relay.offers.count == 1)
    }

    @Test func theReceiversProgressIsPassedToTheUpload() async throws {
        let relay = FakeRelay()
        let sending = try SessionFixture.sending([try tree()], over: relay)
        await sending.run { relay.uploads.count == 1 }
        let offer = relay.offers[0].offer
        for bytes: UInt64 in [1, 1, 2] {
            sending.handle(.message(1, .progress(.init(id: offer.id, transfer: offer.transfer, bytes: bytes))))
        }
        // Only what is further than before.
        #expect(relay.progressed == 2)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
    }
}
