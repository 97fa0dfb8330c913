// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// A sender whose files are changed while they are sent.
@Suite(.timeLimit(.minutes(5))) struct ChangedSourceTests {
    private let files: SentFiles

    init() throws { files = try SentFiles() }

    private static func write(_ text: String, to path: String) {
        try? Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    /// A relay on which what is at `path` is written to before the upload of each of the first `times` offers.
    private func relay(_ times: Int, changing path: String) -> FakeRelay {
        FakeRelay { offered in
            if offered.number <= times { Self.write("changed \(offered.number)", to: path) }
            return FakeRelay.acceptance(of: offered)
        }
    }

    @Test func whatChangesWhileItIsReadIsSentAnew() async throws {
        let tree = try files.tree()
        let relay = relay(1, changing: tree.paths[0])
        let sending = try SessionFixture.sending([tree], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        // The receiver hears of it, and is offered what is there now as a transfer of its own.
        #expect(relay.cancels.map(\.code) == [.sourceChanged])
        let offers = relay.offers.compactMap(\.opened)
        #expect(offers.map(\.summary.bytes) == [3, 9] && offers.map(\.summary.names) == [["file"], ["file"]])
        try #require(offers.count == 2)
        #expect(offers[0].transfer != offers[1].transfer)
        #expect(relay.offers[1].transfer == offers[1].transfer.shown)
        let lines = try sending.lines()
        let restarted = try #require(lines.first { $0.contains("\"event\":\"restarted\"") })
        #expect(restarted.contains("; it is sent again from the beginning"), "\(restarted)")
        #expect(restarted.contains("\"becomes\":\"\(offers[1].transfer.shown)\""), "\(restarted)")
        #expect(restarted.contains("\"transfer\":\"\(offers[0].transfer.shown)\""), "\(restarted)")
        #expect(try sending.events("restarted", "delivered", "failed") == ["restarted", "delivered"])
        #expect(try sending.environment.records.all(now: Samples.now).isEmpty)
    }

    @Test func whatChangesAllTheTimeIsGivenUpWithWhatToDo() async throws {
        let tree = try files.tree()
        let relay = relay(.max, changing: tree.paths[0])
        let sending = try SessionFixture.sending([tree], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.inputOutput)])
        let tries = 1 + TransferDefaults.mostRestarts
        // The last offer is a word for the receiver, who waits for the next.
        #expect(relay.cancels.map(\.code) == Array(repeating: .sourceChanged, count: tries) + [.cannotRead])
        #expect(relay.uploads.count == tries && relay.offers.count == tries + 1)
        #expect(try sending.events("restarted", "failed").suffix(2) == ["restarted", "failed"])
        let line = try #require(try sending.lines().last)
        #expect(line.contains("copy it first, and send the copy"), "\(line)")
        #expect(try sending.environment.records.all(now: Samples.now).isEmpty)
    }

    @Test func whatHasChangedBetweenTwoTriesIsSentAnew() async throws {
        let tree = try files.tree()
        let relay = FakeRelay(uploadEnd: { $0 == 1 ? .cut : nil })
        let sending = try await SessionFixture.broken(tree, over: relay)
        Self.write("something else", to: tree.paths[0])
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.cancels.map(\.code) == [.senderGone, .sourceChanged])
        let offers = relay.offers.compactMap(\.opened)
        // The one in the middle is a word about the first.
        #expect(offers.map(\.summary.bytes) == [3, 3, 14])
        #expect(Set(offers.prefix(2).map(\.transfer)).count == 1 && Set(offers.map(\.transfer)).count == 2)
    }

    @Test func whatIsGoneIsSaidToBeGone() async throws {
        let tree = try files.tree()
        let relay = FakeRelay(uploadEnd: { $0 == 1 ? .cut : nil })
        let sending = try await SessionFixture.broken(tree, over: relay)
        try FileManager.default.removeItem(atPath: tree.paths[0])
        await sending.runToEnd()
        #expect(sending.endings == [.status(.noInput)])
        #expect(relay.cancels.map(\.code) == [.senderGone, .sourceChanged, .cannotRead])
        #expect(try sending.events("restarted", "failed") == ["restarted", "failed"])
    }

    /// Each receiver gets a whole, if not the same one.
    @Test func severalReceiversBeginAgainEachForItself() async throws {
        let tree = try files.tree()
        let path = tree.paths[0]
        let relay = FakeRelay { offered in
            if offered.number == 2 { Self.write("something else", to: path) }
            return FakeRelay.acceptance(of: offered)
        }
        let sending = try SessionFixture.sending([tree], to: [Samples.bob, Samples.alice], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(try sending.events("delivered", "failed") == ["delivered", "delivered"])
    }

    /// What was looked at for an offer on a new connection is of no account once the one on the old connection counts.
    @Test func whatIsAcceptedOnTheOldConnectionFindsOutByItself() async throws {
        let tree = try files.tree()
        let relay = FakeRelay { offered in
            offered.number == 1 ? [offered.state(.ringing)] : FakeRelay.acceptance(of: offered)
        }
        let sending = try SessionFixture.sending([tree], over: relay)
        try await sending.run { try sending.events("ringing").count == 1 }
        Self.write("something else", to: tree.paths[0])
        relay.lines[0].say([.move(.init(id: .sequence(.relay, 7), deadline: 10))])
        await sending.run {
            (sending.session.parts.first as? Sender)?.sendings.first?.delivery.state == .rechecking
        }
        for message in [relay.offers[0].state(.accepted), relay.offers[0].start()] {
            sending.handle(.message(1, message))
        }
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.cancels.map(\.transfer) == [relay.offers[0].transfer])
        #expect(relay.cancels.map(\.code) == [.sourceChanged] && relay.offers.count == 2)
        #expect(try sending.events("restarted", "delivered", "failed") == ["restarted", "delivered"])
    }

    /// What is there whole is not another content because its source is one by now.
    @Test func whatWasSentWholeIsOnlyConfirmed() async throws {
        let tree = try files.tree()
        let summary = DeliveredSummary(manifest: tree.digest, entries: 1, bytes: 3)
        let relay = FakeRelay(
            answer: { offered in
                guard offered.number > 1 else { return FakeRelay.acceptance(of: offered) }
                let states = [offered.state(.ringing), offered.state(.accepted)]
                let start = offered.start(Acceptance(position: TransferPosition(file: 1, offset: 0)))
                return states + [start, offered.delivered(summary)].compactMap(\.self)
            }, confirms: false)
        let sending = try SessionFixture.sending([tree], over: relay)
        try await sending.run { try sending.events("verifying").count == 1 }
        Self.write("something else", to: tree.paths[0])
        relay.lines[0].say([relay.offers[0].failed(.receiverGone, by: .relay)])
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)] && relay.offers.count == 2)
        #expect(try sending.events("delivered", "restarted") == ["delivered"])
    }
}
