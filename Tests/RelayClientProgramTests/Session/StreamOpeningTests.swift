// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// One half of a transfer over real sockets: where it is asked for, how often, and what comes of it.
@Suite(.timeLimit(.minutes(1))) struct StreamOpeningTests {
    typealias Step = ScriptedServer.Step

    private let client: ClientFixture

    init() throws { client = try ClientFixture() }

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
    /// The stream of ``content``: one record and the end.
    private static var stream: (text: [UInt8], summary: ContentSummary) {
        var hash = ContentHash()
        hash.update(ByteBuffer(string: content))
        let summary = hash.finish()
        var framer = RecordFramer(fillsRecords: true)
        var bytes = framer.frame(ByteBuffer(string: content))
        bytes.writeImmutableBuffer(framer.finish(digest: summary.digest))
        return (Array(bytes.readableBytesView), summary)
    }

    /// Everything that an upload tells, up to its end.
    private func upload(to server: ScriptedServer, _ url: String = "upload", size: UInt64? = nil) async throws -> (
        events: [String], result: SendMachine.UploadResult?, error: ClientError?, summary: ContentSummary?
    ) {
        let (events, queue) = AsyncStream<UploadEvent>.makeStream()
        let source = TextSource(Self.content, size: size)
        let job = SendJob(peer: Samples.bob, source: source)
        let upload = HTTPStreams(connector: try client.connector(server)).upload(job, start(.upload, url)) { event in
            queue.yield(event)
            if case .stopped = event { queue.finish() }
        }
        var told: [String] = []
        var end: (SendMachine.UploadResult, ClientError?)?
        var summary: ContentSummary?
        for await event in events {
            switch event {
            case .streaming: told.append("streaming")
            case .report(let report): told.append("\(report)".prefix { $0 != "(" }.description)
            case .ended(let result, let error): end = (result, error)
            case .stopped(let sent): summary = sent
            }
        }
        upload.cut()
        return (told, end?.0, end?.1, summary)
    }

    @Test func anUploadCarriesItsRecordsAndHearsTheRelay() async throws {
        let (bytes, summary) = Self.stream
        let server = try await serve { _ in
            Scripts.request + [
                .say("HTTP/1.1 100 Continue\r\n\r\n"), .read(until: Self.content),
                Scripts.answer("200 OK", #"{"bytes":\#(bytes.count)}"#),
            ]
        }
        let sent = try await upload(to: server, size: UInt64(Self.content.utf8.count))
        #expect(sent.result == .finished && sent.error == nil && sent.summary == summary)
        #expect(sent.events == ["started", "streaming", "progress"])
        let head = server.heard[0]
        #expect(head.hasPrefix("PUT /upload HTTP/1.1\r\n") && head.contains("\r\nAuthorization: Bearer "))
        #expect(head.contains("\r\nExpect: 100-continue\r\n"))
        #expect(head.contains("\r\nContent-Length: \(bytes.count)\r\n"))
    }

    @Test func aContentOfUnknownSizeIsChunked() async throws {
        let server = try await serve { _ in
            Scripts.request + [
                .say("HTTP/1.1 100 Continue\r\n\r\n"), .read(until: "0\r\n\r\n"), Scripts.answer("200 OK"),
            ]
        }
        let sent = try await upload(to: server)
        #expect(sent.result == .finished && server.heard[0].lowercased().contains("\r\ntransfer-encoding: chunked\r\n"))
        #expect(!server.heard[0].contains("Content-Length"))
        // A content that may be large is not of the loop: what is shown goes to the reporter at once.
        #expect(try sent.events == ["streaming"] && client.events() == ["started", "progress"])
    }

    @Test func aRefusedUploadSaysWhy() async throws {
        let server = try await serve { _ in
            Scripts.request + [Scripts.answer("403 Forbidden", #"{"code":"unknown_transfer","message":"x"}"#)]
        }
        let sent = try await upload(to: server, size: 12)
        let answer = HTTPResponse(status: 403, code: .unknownTransfer)
        #expect(sent.result == .broken(.refused(status: 403, code: .unknownTransfer)))
        #expect(sent.error == .stream(.refused(answer)) && sent.summary == nil && sent.events.isEmpty)
    }

    @Test func anUploadThatIsCutIsBroken() async throws {
        let server = try await serve { _ in
            Scripts.request + [.say("HTTP/1.1 100 Continue\r\n\r\n"), .read(until: Self.content), .cut]
        }
        let sent = try await upload(to: server, size: UInt64(Self.content.utf8.count))
        #expect(sent.result == .broken(.cut) && sent.error == .stream(.cut))
    }

    /// What becomes of a download from `server`.
    private func download(
        from server: ScriptedServer, size: UInt64? = UInt64(content.utf8.count)
    ) async throws -> (Result<ContentSummary, ClientError>?, sink: TextSink) {
        let (events, queue) = AsyncStream<DownloadEvent>.makeStream()
        let sink = TextSink()
        let label = TransferLabel(
            transfer: .random(), direction: .receive, peer: Samples.bob, name: "name", size: size
        )
        let request = DownloadRequest(
            start: start(.download, "download"), label: label, sink: sink, limit: nil, progress: { _ in }
        )
        let task = HTTPStreams(connector: try client.connector(server)).download(request) { event in
            queue.yield(event)
            if case .ended = event { queue.finish() }
        }
        defer { task.cancel() }
        for await case .ended(let result) in events { return (result, sink) }
        return (nil, sink)
    }

    private static func body(_ bytes: [UInt8], _ length: Int) -> [Step] {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n"
        return Scripts.request + [.say(head), .sayBytes(bytes)]
    }

    @Test func aDownloadCarriesItsContentIntoTheSink() async throws {
        let (bytes, summary) = Self.stream
        let server = try await serve { _ in Self.body(bytes, bytes.count) }
        let (result, sink) = try await download(from: server)
        #expect(try result?.get() == summary && sink.text == Self.content)
        #expect(server.heard[0].hasPrefix("GET /download HTTP/1.1\r\n"))
        #expect(server.heard[0].contains("\r\nAuthorization: Bearer "))
        try await eventually("the connection to end") { server.ended == 1 }
    }

    @Test func aDownloadThatEndsShortIsCut() async throws {
        let (bytes, _) = Self.stream
        let server = try await serve { _ in Self.body(Array(bytes.dropLast(3)), bytes.count) + [.cut] }
        #expect(try await download(from: server).0 == .failure(.stream(.cut)))
    }

    @Test func aDownloadWithoutALengthIsNotTaken() async throws {
        // Its end could not be told from a cut.
        let server = try await serve { _ in Scripts.request + [.say("HTTP/1.1 200 OK\r\n\r\n"), .say("x"), .close] }
        let result = try await download(from: server).0
        #expect(result == .failure(.stream(.refused(HTTPResponse(status: 200)))))
    }

    @Test func aWrongDigestIsNotAccepted() async throws {
        var (bytes, _) = Self.stream
        bytes[bytes.count - 1] ^= 1
        let server = try await serve { [bytes] _ in Self.body(bytes, bytes.count) }
        #expect(try await download(from: server).0 == .failure(.content(.verificationFailed)))
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
        let server = try await serve { _ in
            Scripts.request + [
                .say("HTTP/1.1 100 Continue\r\n\r\n"), .read(until: Self.content), Scripts.answer("200 OK"),
            ]
        }
        let node = try ReservedPort()
        let size = UInt64(Self.content.utf8.count)
        let sent = try await upload(to: server, "https://127.0.0.1:\(node.number)/upload", size: size)
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

/// A short text to send.
private final class TextSource: ContentSource {
    let name = "name"
    let size: UInt64?
    let isRepeatable = false
    private let text: Mutex<String?>

    init(_ text: String, size: UInt64?) {
        self.size = size
        self.text = Mutex(text)
    }

    func read(max _: Int) async throws(ClientError) -> ByteBuffer? {
        text.withLock { $0.take() }.map { ByteBuffer(string: $0) }
    }
    func rewind() async throws(ClientError) {}
    func close() {}
}

/// Keeps what was received.
private final class TextSink: ContentSink {
    let isRepeatable = false
    private let bytes = Mutex(ByteBuffer())

    var text: String { String(buffer: bytes.withLock { $0 }) }
    var hasContent: Bool { !text.isEmpty }
    func write(_ buffer: ByteBuffer) async throws(ClientError) {
        _ = bytes.withLock { $0.writeImmutableBuffer(buffer) }
    }
    func finish() async throws(ClientError) -> StoredContent { .standardOutput }
    func discard() async {}
}
