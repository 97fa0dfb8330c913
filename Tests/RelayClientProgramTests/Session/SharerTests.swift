// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

@Suite(.timeLimit(.minutes(5))) struct SharerTests {
    private let folder: TemporaryDirectory
    private let session: SessionFixture
    private let bob: FakePeer
    private let alice: FakePeer

    private var relay: FakeRelay { session.relay }

    private static func sharing(
        _ folder: TemporaryDirectory, with peers: [PeerName], _ relay: FakeRelay
    ) throws -> SessionFixture {
        let tree = try SharedTree([folder.file("pub")], SourceOptions())
        return try SessionFixture(relay) { environment, queue in
            [Sharer(ShareSettings(tree: tree, with: peers), environment: environment, queue: queue)]
        }
    }

    init() throws {
        folder = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: folder.file("pub"), withIntermediateDirectories: false)
        try folder.write(Data("content".utf8), to: "pub/file")
        session = try Self.sharing(folder, with: [Samples.bob], FakeRelay())
        bob = try session.relay.peer(Samples.bob)
        alice = try session.relay.peer(Samples.alice)
    }

    private func present() async { await session.run { relay.presences == 1 } }

    /// `peer` asks.
    @discardableResult
    private func ask(
        _ query: PullQuery, from peer: FakePeer, as request: PullRequest = .random(),
        sealedAs sealed: PullRequest? = nil,
        time: UInt64 = Samples.now
    ) throws -> PullRequest {
        let sharer = session.environment.sealing
        let prekeys = try sharer.prekeys.current(name: sharer.name, now: sharer.time())
        let payload = try RequestSealing.seal(
            query, as: sealed ?? request, from: peer.party, to: try #require(sharer.party),
            try prekeys.prekey(signedBy: sharer.signingKey), signedBy: peer.signingKey, time: time
        )
        relay.lines.last?.say([
            .requested(
                .init(
                    id: .sequence(.relay, 1), request: request, from: peer.party.name, key: peer.party.identity,
                    payload: try #require(Payload(bytes: payload))))
        ])
        return request
    }

    private func fetch(_ paths: String..., resuming broken: BrokenTransfer? = nil) throws -> PullQuery {
        .fetch(try paths.map { try PullPath($0) }, resuming: broken)
    }

    private var refusals: [ClientMessage.Refuse] {
        relay.said.compactMap { if case .refuse(let refuse) = $0 { refuse } else { nil } }
    }

    @Test func saysThatItSharesAndWhat() async throws {
        try await session.run { try session.events("sharing").count == 1 }
        guard case .presence(let presence)? = relay.said.first else { throw SealingError.unasked }
        #expect(presence.sharing && !presence.receiving)
        #expect(try session.lines().contains { $0.contains(#""paths":["pub"]"#) && $0.contains(#""with":["bob"]"#) })
    }

    @Test func whatIsAskedForIsOfferedToTheOneWhoAsked() async throws {
        await present()
        let request = try ask(try fetch("pub/file"), from: bob)
        try await session.run { try session.events("delivered").count == 1 }
        let offered = try #require(relay.offers.first)
        #expect(offered.offer.request == request && offered.offer.to == Samples.bob && !offered.offer.wait)
        #expect(offered.opened?.summary.answers == request && offered.name == "file")
        #expect(try session.events("requested").count == 1)
        #expect(session.endings == [nil] && refusals.isEmpty)
        // Nothing is remembered for a later run: it is asked again.
        #expect(try session.environment.records.all(now: Samples.now).isEmpty)
    }

    @Test func aListIsOfferedAndNotToldOf() async throws {
        await present()
        let request = try ask(.list(.top), from: bob)
        await session.run { relay.uploads.count == 1 && relay.mostRunning == 1 }
        let summary = try #require(relay.offers.first?.opened?.summary)
        #expect(summary.names == ["listing"] && summary.kind == .stream && summary.answers == request)
        #expect(try session.events("requested", "started", "delivered") == ["requested"])
    }

    @Test func strangersHearNothing() async throws {
        await present()
        try ask(try fetch("pub/file"), from: alice)
        try ask(try fetch("pub/file"), from: bob)
        await session.run { relay.offers.count == 1 }
        #expect(relay.offers.map(\.offer.to) == [Samples.bob])
        #expect(refusals.isEmpty && !relay.lookups.contains(Samples.alice))
        #expect(try session.events("requested").count == 1)
    }

    @Test func aPathThatIsNotSharedIsRefused() async throws {
        await present()
        let request = try ask(try fetch("pub/none"), from: bob)
        await session.run { refusals.count == 1 }
        #expect(refusals.map(\.code) == [.notShared] && refusals.map(\.request) == [request])
        #expect(refusals.map(\.to) == [Samples.bob] && relay.offers.isEmpty)
        #expect(try session.events("refused").count == 1)
    }

    @Test func whatIsNotSealedForThisRequestIsRefused() async throws {
        await present()
        try ask(try fetch("pub/file"), from: bob, sealedAs: .random())
        try ask(try fetch("pub/file"), from: bob, time: Samples.now - 2 * Samples.day)
        await session.run { refusals.count == 2 }
        #expect(refusals.map(\.code) == [.protocolError, .staleOffer] && relay.offers.isEmpty)
    }

    @Test func oneRequestIsAnsweredOnce() async throws {
        await present()
        let request = try ask(try fetch("pub/file"), from: bob)
        try await session.run { try session.events("delivered").count == 1 }
        try ask(try fetch("pub/file"), from: bob, as: request)
        try ask(try fetch("pub"), from: bob)
        try await session.run { try session.events("delivered").count == 2 }
        #expect(relay.offers.map(\.name) == ["file", "pub"] && refusals.isEmpty)
    }

    @Test func severalAreAnsweredAtOnceAndNotTooMany() async throws {
        await present()
        for _ in 0...TransferDefaults.mostAnswersToOne { try ask(try fetch("pub/file"), from: bob) }
        try await session.run {
            try session.events("delivered").count == TransferDefaults.mostAnswersToOne
        }
        #expect(refusals.map(\.code) == [.tooManyRequests])
        #expect(relay.offers.count == TransferDefaults.mostAnswersToOne)
        // There is room again.
        try ask(try fetch("pub/file"), from: bob)
        try await session.run { try session.events("delivered").count > TransferDefaults.mostAnswersToOne }
    }

    @Test func aRequesterOfTooMuchDoesNotHoldUpOthers() async throws {
        let relay = FakeRelay()
        let session = try Self.sharing(folder, with: [], relay)
        await session.run { relay.presences == 1 }
        let asker = try Self(session, folder)
        for _ in 0..<TransferDefaults.mostAnswersToOne + 3 { try asker.ask(try fetch("pub/file"), from: asker.bob) }
        try asker.ask(try fetch("pub/file"), from: asker.alice)
        await session.run { relay.offers.contains { $0.offer.to == Samples.alice } }
        #expect(asker.refusals.map(\.to) == Array(repeating: Samples.bob, count: 3))
        #expect(asker.refusals.allSatisfy { $0.code == .tooManyRequests })
        // The person is told once.
        #expect(try session.events("warning").count == 1)
    }

    /// A name that was free again, and is another one's now.
    @Test func anotherOneUnderAListedNameHearsNothing() async throws {
        await present()
        try ask(try fetch("pub/file"), from: bob)
        try await session.run { try session.events("delivered").count == 1 }
        let stranger = try FakePeer(Samples.bob)
        try ask(try fetch("pub/file"), from: stranger)
        try ask(try fetch("pub/none"), from: stranger, sealedAs: .random())
        try ask(try fetch("pub"), from: bob)
        try await session.run { try session.events("delivered").count == 2 }
        #expect(refusals.isEmpty && relay.offers.map(\.name) == ["file", "pub"])
        #expect(try session.events("warning").count == 1)
    }

    /// Another one's transfer that is on its way is neither cut nor gone on with.
    @Test func aTransferIsNotCutByAnotherRequester() async throws {
        let relay = FakeRelay(answer: { _ in [] })
        let session = try Self.sharing(folder, with: [], relay)
        await session.run { relay.presences == 1 }
        let asker = try Self(session, folder)
        try asker.ask(try fetch("pub/file"), from: asker.bob)
        await session.run { relay.offers.count == 1 }
        let transfer = try #require(relay.offers[0].opened?.transfer)
        let tree = try SourceTree.scan([folder.file("pub/file")], SourceOptions()) { _ in }
        let broken = BrokenTransfer(transfer: transfer, manifest: tree.digest)
        try asker.ask(try fetch("pub/file", resuming: broken), from: asker.alice)
        await session.run { relay.offers.count == 2 }
        #expect(relay.offers[1].offer.to == Samples.alice && relay.offers[1].opened?.transfer != transfer)
        #expect(relay.cancels.isEmpty && session.endings == [nil])
        // The one whose it is goes on with it.
        try asker.ask(try fetch("pub/file", resuming: broken), from: asker.bob)
        await session.run { relay.offers.count == 3 }
        #expect(relay.offers[2].offer.to == Samples.bob && relay.offers[2].opened?.transfer == transfer)
    }

    @Test func whatIsTheSameGoesOnAsTheSameTransfer() async throws {
        await present()
        try ask(try fetch("pub/file"), from: bob)
        try await session.run { try session.events("delivered").count == 1 }
        let first = try #require(relay.uploads.first)
        let broken = BrokenTransfer(transfer: first.job.transfer, manifest: first.job.tree.digest)
        try ask(try fetch("pub/file", resuming: broken), from: bob)
        try await session.run { try session.events("delivered").count == 2 }
        let other = BrokenTransfer(transfer: first.job.transfer, manifest: [UInt8](repeating: 0, count: 32))
        try ask(try fetch("pub/file", resuming: other), from: bob)
        try await session.run { try session.events("delivered").count == 3 }
        let transfers = relay.offers.compactMap { $0.opened?.transfer }
        #expect(transfers[1] == transfers[0] && transfers[2] != transfers[0])
        // No attempt has the id of another one.
        #expect(Set(relay.offers.map(\.transfer)).count == 3)
    }

    /// A relay on which the shared file is written to before each of the first `times` uploads.
    private func changing(_ times: Int) async throws -> (asker: Self, relay: FakeRelay) {
        let folder = folder
        let relay = FakeRelay { offered in
            if offered.number <= times { _ = try? folder.write(Data("now \(offered.number)".utf8), to: "pub/file") }
            return FakeRelay.acceptance(of: offered)
        }
        let session = try Self.sharing(folder, with: [], relay)
        await session.run { relay.presences == 1 }
        return (try Self(session, folder), relay)
    }

    @Test func whatChangesWhileItIsReadIsOfferedAnewForTheSameRequest() async throws {
        let (asker, relay) = try await changing(1)
        let request = try asker.ask(try fetch("pub/file"), from: asker.bob)
        try await asker.session.run { try asker.session.events("delivered").count == 1 }
        #expect(
            relay.cancels.map(\.code) == [.sourceChanged] && relay.offers.map(\.offer.request) == [request, request])
        let offers = relay.offers.compactMap(\.opened)
        #expect(offers.map(\.summary.bytes) == [7, 5] && offers.map(\.summary.answers) == [request, request])
        #expect(Set(offers.map(\.transfer)).count == 2)
        #expect(try asker.session.events("requested", "restarted", "failed") == ["requested", "restarted"])
        // It is not answered once more.
        try asker.ask(try fetch("pub/file"), from: asker.bob, as: request)
        try asker.ask(try fetch("pub"), from: asker.bob)
        try await asker.session.run { try asker.session.events("delivered").count == 2 }
        #expect(relay.offers.map(\.name) == ["file", "file", "pub"])
    }

    @Test func whatChangesAllTheTimeIsGivenUp() async throws {
        let (asker, relay) = try await changing(.max)
        try asker.ask(try fetch("pub/file"), from: asker.bob)
        try await asker.session.run { try asker.session.events("failed").count == 1 }
        let tries = 1 + TransferDefaults.mostRestarts
        // The last offer is a word for the one who asked, who waits for the next.
        #expect(relay.cancels.map(\.code) == Array(repeating: .sourceChanged, count: tries) + [.cannotRead])
        #expect(relay.offers.count == tries + 1 && asker.session.endings == [nil])
    }

    /// What is there now is looked for where it was shared: no link leads elsewhere.
    @Test func whatIsALinkByNowIsNotFollowed() async throws {
        try folder.write(Data("secret".utf8), to: "secret")
        let (folder, path) = (folder, folder.file("pub/file"))
        let relay = FakeRelay { offered in
            if offered.number == 1 {
                try? FileManager.default.removeItem(atPath: path)
                try? FileManager.default.createSymbolicLink(
                    atPath: path, withDestinationPath: folder.file("secret"))
            }
            return FakeRelay.acceptance(of: offered)
        }
        let session = try Self.sharing(folder, with: [], relay)
        await session.run { relay.presences == 1 }
        let asker = try Self(session, folder)
        try asker.ask(try fetch("pub/file"), from: asker.bob)
        try await session.run { try session.events("failed").count == 1 }
        #expect(relay.cancels.map(\.code) == [.sourceChanged, .cannotRead])
        #expect(try session.events("delivered").isEmpty && relay.offers.allSatisfy { $0.opened?.summary.bytes == 7 })
    }

    @Test func theOneWhoAskedNeedNotWaitForIt() async throws {
        let relay = FakeRelay(answer: { [.error(.init(id: $0.id, code: .unknownRequest, message: ""))] })
        let session = try Self.sharing(folder, with: [], relay)
        await session.run { relay.presences == 1 }
        let asker = try Self(session, folder)
        try asker.ask(try fetch("pub/file"), from: asker.bob)
        await session.run { relay.offers.count == 1 }
        try asker.ask(try fetch("pub/none"), from: asker.bob)
        await session.run { !asker.refusals.isEmpty }
        // Nothing has failed, and nothing is offered again.
        #expect(try session.events("failed").isEmpty && relay.offers.count == 1 && session.endings == [nil])
    }

    private init(_ session: SessionFixture, _ folder: TemporaryDirectory) throws {
        (self.session, self.folder) = (session, folder)
        (bob, alice) = (try session.relay.peer(Samples.bob), try session.relay.peer(Samples.alice))
    }

    @Test func anInterruptEndsIt() async throws {
        await present()
        session.handle(.interrupted)
        #expect(session.endings == [.status(.interrupted)])
    }

    @Test func aLostConnectionIsMadeAgain() async throws {
        await present()
        relay.lines[0].lose(ConnectionError(closed: nil, reason: .lost, relay: session.environment.relay))
        await session.run { relay.lines.count == 2 && relay.presences == 2 }
        try ask(try fetch("pub/file"), from: bob)
        try await session.run { try session.events("delivered").count == 1 }
        #expect(try session.events("sharing").count == 1)
    }
}
