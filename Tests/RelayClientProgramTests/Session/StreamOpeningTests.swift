// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Sealing
import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// One half of a transfer over real sockets: where it is asked for, how often, and what comes of it.
@Suite(.timeLimit(.minutes(5))) struct StreamOpeningTests {
    typealias Step = ScriptedServer.Step

    private let client: ClientFixture

    private let files: SentFiles

    init() throws {
        client = try ClientFixture()
        files = try SentFiles()
    }

    private func start(_ role: TransferRole, _ url: String) -> ServerMessage.Start {
        .init(
            id: .sequence(.client, 2), transfer: .random(), role: role, token: .random(), url: url, expires: 60,
            payload: nil
        )
    }

    /// What is carried to or from a server that does this on each connection.
    private func serve(_ script: @escaping @Sendable (Int) -> [Step]) async throws -> ScriptedServer {
        try await ScriptedServer(client.server, script)
    }

    // MARK: - Whole transfers

    private static let content = "some content"

    /// What is sent is sealed: the last chunk of a short content is all of it.
    private static let size = UInt64(content.utf8.count)

    /// A short text to send: a file, or a pipe.
    private func tree(isSized: Bool) throws -> SourceTree {
        guard isSized else { return try files.pipe(Self.content) }
        let path = try files.file("name", size: 0)
        try Data(Self.content.utf8).write(to: URL(fileURLWithPath: path))
        return try files.scan([path])
    }

    /// Everything that an upload tells, up to its end, and the bytes that it sends.
    private func upload(
        _ tree: SourceTree, _ attempt: SealedAttempt, to server: ScriptedServer, _ url: String = "upload"
    ) async throws -> (
        events: [String], result: SendMachine.UploadResult?, error: ClientError?, sent: DeliveredCounts?
    ) {
        let (events, queue) = AsyncStream<UploadEvent>.makeStream()
        let job = SendJob(peer: Samples.bob, tree: tree, goingOnWith: attempt.transfer)
        let request = UploadRequest(
            job: job, start: start(.upload, url), acceptance: attempt.acceptance, keys: attempt.keys,
            signingKey: attempt.alice.signingKey
        )
        let upload = HTTPStreams(connector: try client.connector(server)).upload(request) { event in
            queue.yield(event)
            if case .stopped = event { queue.finish() }
        }
        var told: [String] = []
        var end: (SendMachine.UploadResult, ClientError?)?
        var counts: DeliveredCounts?
        for await event in events {
            switch event {
            case .streaming: told.append("streaming")
            case .report(let report): told.append("\(report)".prefix { $0 != "(" }.description)
            case .ended(let result, let error): end = (result, error)
            case .stopped(let sent): counts = sent
            }
        }
        upload.cut()
        return (told, end?.0, end?.1, counts)
    }

    /// A relay that takes a body which ends with these bytes.
    private static func taking(_ end: [UInt8], _ answer: Step) -> [Step] {
        Scripts.request + [.say("HTTP/1.1 100 Continue\r\n\r\n"), .readBytes(until: end), answer]
    }

    @Test func anUploadCarriesItsChunksAndHearsTheRelay() async throws {
        let tree = try tree(isSized: true)
        let attempt = try SealedAttempt(tree.summary)
        let bytes = try attempt.stream(tree)
        let server = try await serve { _ in
            Self.taking(bytes, Scripts.answer("200 OK", #"{"bytes":\#(bytes.count)}"#))
        }
        let sent = try await upload(tree, attempt, to: server)
        #expect(sent.result == .finished && sent.error == nil)
        #expect(sent.sent == DeliveredCounts(entries: 1, bytes: Self.size))
        #expect(sent.events == ["started", "streaming", "progress"])
        let head = server.heard[0]
        #expect(head.hasPrefix("PUT /upload HTTP/1.1\r\n") && head.contains("\r\nAuthorization: Bearer "))
        #expect(head.contains("\r\nExpect: 100-continue\r\n"))
        #expect(head.contains("\r\nContent-Length: \(bytes.count)\r\n"))
    }

    @Test func aContentOfUnknownSizeIsChunked() async throws {
        let server = try await serve { _ in
            Self.taking(Array("0\r\n\r\n".utf8), Scripts.answer("200 OK"))
        }
        let tree = try tree(isSized: false)
        let sent = try await upload(tree, try SealedAttempt(tree.summary), to: server)
        #expect(sent.result == .finished && server.heard[0].lowercased().contains("\r\ntransfer-encoding: chunked\r\n"))
        #expect(!server.heard[0].contains("Content-Length"))
        #expect(sent.sent == DeliveredCounts(entries: 1, bytes: Self.size))
        // A content that may be large is not of the loop: what is shown goes to the reporter at once.
        #expect(try sent.events == ["streaming"] && Set(client.events()) == ["started", "progress"])
    }

    @Test func aRefusedUploadSaysWhy() async throws {
        let server = try await serve { _ in
            Scripts.request + [Scripts.answer("403 Forbidden", #"{"code":"unknown_transfer","message":"x"}"#)]
        }
        let tree = try tree(isSized: true)
        let sent = try await upload(tree, try SealedAttempt(tree.summary), to: server)
        let answer = HTTPResponse(status: 403, code: .unknownTransfer)
        #expect(sent.result == .broken(.refused(status: 403, code: .unknownTransfer)))
        #expect(sent.error == .stream(.refused(answer)) && sent.sent == nil && sent.events.isEmpty)
    }

    @Test func anUploadThatIsCutIsBroken() async throws {
        let tree = try tree(isSized: true)
        let attempt = try SealedAttempt(tree.summary)
        let bytes = try attempt.stream(tree)
        let server = try await serve { _ in Self.taking(bytes, .cut) }
        let sent = try await upload(tree, attempt, to: server)
        #expect(sent.result == .broken(.cut) && sent.error == .stream(.cut))
        // All of it was on its way, and may have arrived.
        #expect(sent.sent == DeliveredCounts(entries: 1, bytes: Self.size))
    }

    /// What has changed is found out before a stream is opened for it.
    @Test func whatCannotBeSentIsNotAskedFor() async throws {
        let tree = try tree(isSized: true)
        let sample = SourceSample(file: 0, block: 0, content: Array("other content".utf8))
        let position = TransferPosition(file: 0, offset: 5)
        let attempt = try SealedAttempt(tree.summary, Acceptance(position: position, samples: [sample]))
        let server = try await serve { _ in [] }
        let sent = try await upload(tree, attempt, to: server)
        #expect(sent.result == .unreadable(.sourceChanged) && sent.error?.file?.code == .changed)
        #expect(sent.sent == nil && sent.events.isEmpty && server.connections == 0)
    }

    /// What becomes of a download from `server`.
    private func download(
        _ attempt: SealedAttempt, from server: ScriptedServer, refusal: ClientError? = nil
    ) async throws -> (Result<Void, ClientError>?, sink: MemorySink) {
        let (events, queue) = AsyncStream<DownloadEvent>.makeStream()
        let sink = MemorySink()
        let request = DownloadRequest(
            begin: { refusal }, start: start(.download, "download"), label: TransferLabel(of: attempt.offer),
            sink: sink,
            opening: ChunkOpening(attempt.offer, keys: attempt.keys, into: sink, limit: nil), isSilent: false,
            progress: { _ in }
        )
        let task = HTTPStreams(connector: try client.connector(server)).download(request) { event in
            queue.yield(event)
            if case .ended = event { queue.finish() }
        }
        defer { task.cancel() }
        for await case .ended(let result) in events { return (result, sink) }
        return (nil, sink)
    }

    /// The error of a download that did not end well.
    private func failure(
        _ attempt: SealedAttempt, from server: ScriptedServer, refusal: ClientError? = nil
    ) async throws -> ClientError? {
        switch try await download(attempt, from: server, refusal: refusal).0 {
        case .failure(let error)?: error
        case .success?, nil: nil
        }
    }

    /// An attempt to send the content, and its bytes.
    private func sealed() throws -> (attempt: SealedAttempt, bytes: [UInt8]) {
        let tree = try tree(isSized: true)
        let attempt = try SealedAttempt(tree.summary)
        return (attempt, try attempt.stream(tree))
    }

    private static func body(_ bytes: [UInt8], _ length: Int) -> [Step] {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n"
        return Scripts.request + [.say(head), .sayBytes(bytes)]
    }

    @Test func aDownloadCarriesItsContentIntoTheSink() async throws {
        let (attempt, bytes) = try sealed()
        let server = try await serve { _ in Self.body(bytes, bytes.count) }
        let (result, sink) = try await download(attempt, from: server)
        try #require(result).get()
        #expect(sink.text == Self.content)
        #expect(server.heard[0].hasPrefix("GET /download HTTP/1.1\r\n"))
        #expect(server.heard[0].contains("\r\nAuthorization: Bearer "))
        try await eventually("the connection to end") { server.ended == 1 }
    }

    @Test func aDownloadThatEndsShortIsCut() async throws {
        let (attempt, bytes) = try sealed()
        let server = try await serve { _ in Self.body(Array(bytes.dropLast(3)), bytes.count) + [.cut] }
        #expect(try await failure(attempt, from: server) == .stream(.cut))
    }

    @Test func aDownloadWithoutALengthIsNotTaken() async throws {
        // Its end could not be told from a cut.
        let server = try await serve { _ in Scripts.request + [.say("HTTP/1.1 200 OK\r\n\r\n"), .say("x"), .close] }
        #expect(
            try await failure(try sealed().attempt, from: server) == .stream(.refused(HTTPResponse(status: 200))))
    }

    @Test func whatMayNotBeginIsNotAskedFor() async throws {
        let server = try await serve { _ in [] }
        let refusal = ClientError.sealing(.repeatedAttempt)
        #expect(try await failure(try sealed().attempt, from: server, refusal: refusal) == refusal)
        #expect(try server.connections == 0 && client.events().isEmpty)
    }

    @Test func whatWasAlteredIsNotAccepted() async throws {
        var (attempt, bytes) = try sealed()
        bytes[bytes.count - 1] ^= 1
        let server = try await serve { [bytes] _ in Self.body(bytes, bytes.count) }
        #expect(try await failure(attempt, from: server) == .sealing(.doesNotOpen(.chunk)))
    }

    // MARK: - Trying again

    /// Opens what `open` does, and where it was asked for.
    private func open(
        _ server: ScriptedServer, _ url: String, _ open: @escaping @Sendable (RequestTarget) throws(StreamError) -> Int
    ) async throws(ClientError) -> Int {
        let connector: ControlConnector
        do { connector = try client.connector(server) } catch { throw ClientError(error) }
        let context = StreamContext(size: nil, connector: connector) { _ in }
        let opening = StreamOpening(start(.upload, url), of: .random(), connector: connector, in: context)
        return try await opening.run { target, _ async throws(StreamError) in
            try open(target)
        } abort: { _ in
        }
    }

    @Test func aBusyRelayIsAskedAgainAndThePersonHearsSo() async throws {
        let server = try await serve { _ in [] }
        let tries = Mutex(0)
        let stream = try await open(server, "upload") { _ throws(StreamError) in
            let number = tries.withLock { tries in
                tries += 1
                return tries
            }
            if number < 3 { throw .refused(HTTPResponse(status: 503, code: .draining)) }
            return number
        }
        #expect(try stream == 3 && client.events() == ["reconnecting", "reconnected"])
    }

    @Test func aNodeThatIsNotThereIsLeftForTheRelaysOwnAddress() async throws {
        let tree = try tree(isSized: true)
        let attempt = try SealedAttempt(tree.summary)
        let bytes = try attempt.stream(tree)
        let server = try await serve { _ in Self.taking(bytes, Scripts.answer("200 OK")) }
        let node = try ReservedPort()
        let sent = try await upload(tree, attempt, to: server, "https://127.0.0.1:\(node.number)/upload")
        #expect(sent.result == .finished)
        #expect(sent.events == ["reconnecting", "reconnected", "started", "streaming", "progress"])
    }

    @Test(arguments: ["http://127.0.0.1/upload", "/../upload", ""])
    func anAddressThatCannotBeUsedIsNotAskedFor(_ url: String) async throws {
        let server = try await serve { _ in [] }
        let failed = await error(ClientError.self) {
            _ = try await open(server, url) { _ throws(StreamError) in
                Issue.record("it was opened")
                return 0
            }
        }
        #expect(failed == .stream(.badAddress) && server.connections == 0)
    }

    @Test func aStreamThatStandsTooLateIsAborted() async throws {
        let server = try await serve { _ in [] }
        let connector = try client.connector(server)
        let context = StreamContext(size: nil, connector: connector) { _ in }
        let opening = StreamOpening(start(.download, "download"), of: .random(), connector: connector, in: context)
        let (aborted, continuation) = AsyncStream<Int>.makeStream()
        let failed = await error(ClientError.self) { [client] in
            _ = try await opening.run { _, _ async throws(StreamError) in
                client.interrupt.interrupt()
                return 7
            } abort: {
                continuation.yield($0)
                continuation.finish()
            }
        }
        #expect(failed == .interrupted)
        for await stream in aborted { #expect(stream == 7) }
    }

    @Test func anInterruptEndsThePauseBetweenTwoTries() async throws {
        let server = try await serve { _ in [] }
        let interrupt = client.interrupt
        let failed = await error(ClientError.self) {
            _ = try await open(server, "upload") { _ throws(StreamError) in
                interrupt.interrupt()
                throw .refused(HTTPResponse(status: 503, code: .draining, retryAfter: .seconds(5)))
            }
        }
        #expect(failed == .interrupted)
    }
}
