// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

@Suite(.timeLimit(.minutes(5))) struct FetcherTests {
    private let folder: ReceivedFolder
    private let files: SentFiles
    private let session: SessionFixture
    private let alice: FakePeer
    private let mallory: FakePeer

    private var relay: FakeRelay { session.relay }

    init() throws { try self.init(path: "photos/file") }

    private init(path: String, waits: Bool = true, in folder: ReceivedFolder? = nil) throws {
        try self.init(paths: [path], waits: waits, in: folder)
    }

    private init(paths: [String], waits: Bool = true, in folder: ReceivedFolder? = nil) throws {
        let folder = try folder ?? ReceivedFolder()
        self.folder = folder
        files = try SentFiles()
        session = try SessionFixture { environment, queue in
            let settings = FetchSettings(
                sharer: Samples.alice, query: .fetch(try paths.map { try PullPath($0) }),
                output: .folder(folder.parts()),
                patience: TransferDefaults.patience, waits: waits)
            return [Fetcher(settings, environment: environment, queue: queue)]
        }
        alice = try session.relay.peer(Samples.alice)
        mallory = try FakePeer(Samples.alice)
    }

    /// What was asked, opened by alice.
    private func asked() throws -> [ReceivedRequest] {
        try relay.said.compactMap { message in
            guard case .request(let request) = message else { return nil }
            return try RequestSealing.open(
                Array(request.payload.bytes), from: try #require(session.environment.sealing.party), to: alice.party,
                with: alice.ratchet, time: Samples.now)
        }
    }

    /// Waits until it has been asked so often, and says that the relay has passed it on. Returns the last request.
    @discardableResult
    private func request(_ count: Int = 1) async throws -> ReceivedRequest {
        try await session.run { try asked().count == count }
        guard case .request(let said)? = relay.said.last(where: { if case .request = $0 { true } else { false } })
        else {
            throw SealingError.unasked
        }
        relay.lines.last?.say([.ok(.init(id: said.id))])
        return try #require(try asked().last)
    }

    /// Waits until it has been asked once more, after a pause, for what broke.
    @discardableResult
    private func requestAgain() async throws -> ReceivedRequest {
        await session.runToPause()
        session.passTime(TransferDefaults.firstPause)
        return try await request(2)
    }

    /// The relay rings with an offer. Returns it, and where it comes from.
    private func ring(
        _ name: String = "file", answering request: PullRequest?, said: PullRequest?, from peer: FakePeer? = nil,
        of transfer: CarriedTransfer = .random(), size: UInt64 = 7, as known: SourceTree? = nil
    ) throws -> (offer: SentOffer, transfer: CarriedTransfer, tree: SourceTree) {
        let tree = try known ?? files.tree(name, size: size)
        var summary = tree.summary
        summary.answers = request
        let offer = try (peer ?? alice).offer(summary, of: transfer, to: session.environment.sealing)
        var ring = try (peer ?? alice).ring(offer)
        ring.request = said
        relay.lines.last?.say([.ring(ring)])
        return (offer, transfer, tree)
    }

    /// The relay gives the accepted transfer its token.
    private func start(_ offer: SentOffer) async throws {
        let attempt = offer.parties.attempt
        await session.run { relay.accepts[attempt] != nil }
        let count = relay.downloads.count
        relay.lines.last?.say([
            .start(
                .init(
                    id: try #require(relay.accepts[attempt]).id, transfer: attempt, role: .download, token: .random(),
                    url: "/download", expires: 60))
        ])
        await session.run { relay.downloads.count > count }
    }

    private func complete(_ sent: (offer: SentOffer, transfer: CarriedTransfer, tree: SourceTree)) async throws {
        try await start(sent.offer)
        let accept = try #require(relay.accepts[sent.offer.parties.attempt])
        let (acceptance, keys) = try AcceptSealing.open(accept.payload.bytes, to: sent.offer)
        try #require(relay.downloads.last).bring(
            try sealedStream(of: sent.tree, as: sent.transfer, acceptance, keys: keys, signedBy: alice.signingKey))
        await session.run { relay.said.contains { if case .delivered = $0 { true } else { false } } }
        for case .delivered(let delivered) in relay.said { relay.lines.last?.say([.ok(.init(id: delivered.id))]) }
        await session.run { session.session.isOver }
    }

    private func pass(_ seconds: Int64) { session.passTime(.seconds(seconds)) }

    @Test func whatIsAskedForIsTakenWithoutAQuestion() async throws {
        let request = try await request()
        #expect(request.query == .fetch([try PullPath("photos/file")]))
        try await complete(ring(answering: request.request, said: request.request))
        #expect(session.endings == [.status(.done)])
        #expect(try folder.content(folder.path + "/file") == "content")
        #expect(try session.events("asking", "received", "ready") == ["asking", "received"])
        // The relay does not ring it for anything else.
        for case .presence(let presence) in relay.said { #expect(!presence.receiving && !presence.sharing) }
    }

    @Test func nothingElseIsTaken() async throws {
        let request = try await request().request
        let wrong: [(PullRequest?, PullRequest?, String)] = [
            (request, nil, "file"), (nil, request, "file"), (nil, nil, "file"), (.random(), request, "file"),
            (request, .random(), "file"), (request, request, "other"), (request, request, "photos"),
        ]
        for (sealed, said, name) in wrong { _ = try ring(name, answering: sealed, said: said) }
        _ = try ring(answering: request, said: request, from: mallory)
        await session.run { relay.declines.count == wrong.count + 1 }
        #expect(
            relay.declines.map(\.code) == [FailureCode](repeating: .protocolError, count: wrong.count) + [
                .identityChanged
            ])
        #expect(relay.accepts.isEmpty && session.endings == [nil])
        // One warning, however many there are.
        #expect(try session.events("warning").count == 1)
        try await complete(ring(answering: request, said: request))
        #expect(session.endings == [.status(.done)])
        // At the end it is said how many that were: the one of another identity is told as such.
        for part in session.session.parts {
            var part = part
            part.stop()
        }
        #expect(try session.lines().last?.contains(#""count":\#(wrong.count),"event":"unasked""#) == true)
    }

    /// A summary names eight at most: behind them, the manifest is held to what was asked for.
    @Test(arguments: [19, 20, 21]) func ofManyAllAndNoOthersAreTaken(_ last: Int) async throws {
        let asker = try FetcherTests(paths: (10..<20).map { "photos/\($0)" })
        let request = try await asker.request().request
        let tree = try asker.files.scan((10..<last).map { try asker.files.file(String($0)) })
        let sent = try asker.ring(answering: request, said: request, as: tree)
        try await asker.start(sent.offer)
        let accept = try #require(asker.relay.accepts[sent.offer.parties.attempt])
        let (acceptance, keys) = try AcceptSealing.open(accept.payload.bytes, to: sent.offer)
        let stream = try sealedStream(
            of: tree, as: sent.transfer, acceptance, keys: keys, signedBy: asker.alice.signingKey)
        let opening = try #require(asker.relay.downloads.last).request.opening
        let isTaken: Bool
        do throws(any Error) {
            _ = try opening.take([ByteBuffer(bytes: stream)], on: BlockingThread())
            isTaken = try opening.isWhole(on: BlockingThread())
        } catch {
            isTaken = false
        }
        #expect(isTaken == (last == 20))
        // Nothing has its name yet.
        #expect(try asker.folder.listing().allSatisfy { $0.hasPrefix(".relay-") })
    }

    @Test func aSecondAnswerIsNotNeeded() async throws {
        let request = try await request().request
        let first = try ring(answering: request, said: request)
        _ = try ring(answering: request, said: request)
        await session.run { relay.declines.count == 1 }
        #expect(relay.declines.map(\.code) == [.cancelled])
        try await complete(first)
        #expect(session.endings == [.status(.done)])
    }

    @Test func asksAgainWithAnotherRequestUntilItGivesUp() async throws {
        let first = try await request(1)
        pass(5)
        let second = try await request(2)
        #expect(first.request != second.request)
        #expect(try session.events("asking", "notice") == ["asking", "notice"])
        // The first may be answered late.
        try await complete(ring(answering: first.request, said: first.request))
        #expect(session.endings == [.status(.done)])
    }

    @Test func givesUp() async throws {
        try await request(1)
        pass(600)
        #expect(session.endings == [.status(.gaveUp)])
        #expect(try session.lines().contains { $0.contains(#""code":"timed_out""#) })
    }

    @Test func whoHasTooMuchToAnswerIsNotSaidToBeSilent() async throws {
        for count in 1...2 {
            let request = try await request(count)
            relay.lines.last?.say([
                .refused(.init(id: .sequence(.relay, 9), request: request.request, code: .tooManyRequests))
            ])
            try await session.run { try session.events("notice").count == 1 }
            pass(5 * Int64(count))
        }
        try await request(3)
        #expect(try session.events("asking", "notice") == ["asking", "notice"])
        #expect(try session.lines().contains { $0.contains("as many requests to answer as it takes at once") })
        pass(600)
        #expect(session.endings == [.status(.gaveUp)])
        #expect(try session.lines().contains { $0.contains(#""code":"too_many_requests""#) })
    }

    @Test func doesNotWaitForAPeerThatSharesNothing() async throws {
        let fetch = try FetcherTests(path: "file", waits: false)
        try await fetch.request(1)
        fetch.pass(5)
        try await fetch.request(2)
        fetch.pass(5)
        #expect(fetch.session.endings == [.status(.unreachable)])
        #expect(try fetch.session.lines().contains { $0.contains("shares nothing with you, or is not there") })
    }

    @Test func whatIsNotSharedIsToldAfterAWhile() async throws {
        let request = try await request()
        relay.lines.last?.say([.refused(.init(id: .sequence(.relay, 9), request: .random(), code: .cannotRead))])
        relay.lines.last?.say([.refused(.init(id: .sequence(.relay, 9), request: request.request, code: .notShared))])
        await session.run { session.session.deadline == session.clock.now() + TransferDefaults.otherAnswers }
        pass(1)
        #expect(session.endings == [nil])
        pass(1)
        #expect(session.endings == [.status(.noInput)])
        #expect(try session.lines().contains { $0.contains("relay-client list alice") && $0.contains("not_shared") })
    }

    @Test(.timeLimit(.minutes(5))) func whatBreaksIsAskedForAgainFromWhereItWas() async throws {
        let request = try await request()
        let sent = try ring(answering: request.request, said: request.request, size: 200_000)
        try await start(sent.offer)
        // The manifest and a part of the file come.
        let accept = try #require(relay.accepts[sent.offer.parties.attempt])
        let (acceptance, keys) = try AcceptSealing.open(accept.payload.bytes, to: sent.offer)
        let stream = try sealedStream(
            of: sent.tree, as: sent.transfer, acceptance, keys: keys, signedBy: alice.signingKey)
        _ = try #require(relay.downloads.last).request.opening.take(
            [ByteBuffer(bytes: stream.prefix(150_000))], on: BlockingThread())
        try #require(relay.downloads.last).end(.failure(.stream(.cut)))
        relay.lines.last?.say([
            .failed(
                .init(id: .sequence(.relay, 9), transfer: sent.offer.parties.attempt, code: .senderGone, by: .relay))
        ])
        let again = try await requestAgain()
        let broken = BrokenTransfer(transfer: sent.transfer, manifest: sent.tree.digest)
        #expect(again.query == .fetch([try PullPath("photos/file")], resuming: broken))
        let second = try ring(answering: again.request, said: again.request, of: sent.transfer, as: sent.tree)
        try await complete(second)
        #expect(session.endings == [.status(.done)])
        // The parts are removed beside.
        try await session.run { try folder.listing() == ["file"] }
        #expect(try folder.listing() == ["file"])
        // It was answered, and is not said to have been silent.
        #expect(try session.events("interrupted", "notice") == ["interrupted"])
    }

    @Test func whoGivesUpHearsWhatBrokeBefore() async throws {
        let request = try await request()
        let sent = try ring(answering: request.request, said: request.request)
        try await start(sent.offer)
        try #require(relay.downloads.last).end(.failure(.stream(.cut)))
        relay.lines.last?.say([
            .failed(
                .init(id: .sequence(.relay, 9), transfer: sent.offer.parties.attempt, code: .senderGone, by: .relay))
        ])
        try await requestAgain()
        pass(600)
        #expect(session.endings == [.status(.gaveUp)])
        let told = "the connection of alice was cut, and since then nothing came of alice"
        #expect(try session.lines().contains { $0.contains(told) && $0.contains(#""event":"failed""#) })
    }

    @Test func whyTheRelayTookNoRequestIsTold() async throws {
        try await session.run { try asked().count == 1 }
        guard case .request(let said)? = relay.said.last(where: { if case .request = $0 { true } else { false } })
        else { throw SealingError.unasked }
        session.handle(.message(1, .error(.init(id: said.id, code: .rateLimited, message: ""))))
        pass(600)
        #expect(session.endings == [.status(.gaveUp)])
        let lines = try session.lines()
        #expect(lines.contains { $0.contains(#""code":"rate_limited""#) && $0.contains("up to the end of --timeout") })
    }

    /// The sharer says that what it sends has changed.
    private func change(_ offer: SentOffer) {
        relay.lines.last?.say([
            .failed(.init(id: .sequence(.relay, 9), transfer: offer.parties.attempt, code: .sourceChanged, by: .peer))
        ])
    }

    @Test func whatHasChangedComesAnewInAnswerToTheSameRequest() async throws {
        let request = try await request().request
        let first = try ring(answering: request, said: request)
        try await start(first.offer)
        change(first.offer)
        try await session.run { try session.events("restarted").count == 1 }
        #expect(session.endings == [nil])
        // It is not asked for again meanwhile.
        pass(4)
        #expect(try asked().count == 1)
        try await complete(ring(answering: request, said: request, size: 9))
        #expect(session.endings == [.status(.done)])
        #expect(try session.events("restarted", "failed", "received") == ["restarted", "received"])
    }

    @Test func whatHasChangedIsAskedForAgainWhereItDoesNotCome() async throws {
        let first = try await request()
        let sent = try ring(answering: first.request, said: first.request)
        try await start(sent.offer)
        change(sent.offer)
        try await session.run { try session.events("restarted").count == 1 }
        pass(5)
        let second = try await request(2)
        #expect(second.query == .fetch([try PullPath("photos/file")]))
        try await complete(ring(answering: second.request, said: second.request, size: 9))
        #expect(session.endings == [.status(.done)])
    }

    @Test func aLostConnectionMakesItAskAgain() async throws {
        let first = try await request()
        relay.lines[0].lose(ConnectionError(closed: nil, reason: .lost, relay: session.environment.relay))
        await session.run { relay.lines.count == 2 }
        let second = try await request(2)
        // What was asked on the connection before cannot be answered on this one.
        _ = try ring(answering: first.request, said: first.request)
        await session.run { relay.declines.count == 1 }
        try await complete(ring(answering: second.request, said: second.request))
        #expect(session.endings == [.status(.done)])
    }

    @Test func anInterruptEndsIt() async throws {
        try await request()
        session.handle(.interrupted)
        #expect(session.endings == [.status(.interrupted)])
    }
}
