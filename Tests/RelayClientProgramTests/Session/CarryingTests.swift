// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// The bytes of a transfer without a network: what goes into an upload, and what comes out of a download.
@Suite(.timeLimit(.minutes(1))) struct CarryingTests {
    /// A content in memory, read in pieces.
    private final class Content: ContentSource {
        let name = "content"
        let size: UInt64?
        let isRepeatable = true
        private let pieces: Mutex<[ByteBuffer]>
        private let failure: FileError?

        init(_ pieces: [String], size: UInt64?, failure: FileError? = nil) {
            self.size = size
            self.failure = failure
            self.pieces = Mutex(pieces.map { ByteBuffer(string: $0) })
        }

        func read(max _: Int) async throws(ClientError) -> ByteBuffer? {
            let next = pieces.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            if next == nil, let failure { throw .file(failure) }
            return next
        }

        func rewind() async throws(ClientError) {}
        func close() {}
    }

    /// An upload that keeps what it is given, and ends as it is told.
    private final class Upload: UploadByteStream {
        private struct State {
            var bytes: [UInt8] = []
            var isFinished = false
            var isAborted = false
            var waiting: CheckedContinuation<StreamError?, Never>?
        }

        private let state = Mutex(State())
        private let failure: StreamError?

        init(failure: StreamError? = nil) { self.failure = failure }

        var bytes: [UInt8] { state.withLock { $0.bytes } }
        var isAborted: Bool { state.withLock { $0.isAborted } }

        func write(_ buffer: ByteBuffer) async throws(StreamError) {
            if let failure { throw failure }
            state.withLock { $0.bytes += buffer.readableBytesView }
        }

        func finish() async throws(StreamError) -> UInt64? {
            end(with: nil)
            return nil
        }

        func failure() async -> StreamError? {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if !state.isFinished { state.waiting = continuation }
                    return state.isFinished
                }
                if isOver { continuation.resume(returning: nil) }
            }
        }

        func abort() {
            state.withLock { $0.isAborted = true }
            end(with: .cut)
        }

        private func end(with error: StreamError?) {
            let waiting = state.withLock { state in
                defer { state.waiting = nil }
                state.isFinished = true
                return state.waiting
            }
            waiting?.resume(returning: error)
        }
    }

    /// A download of these pieces, with an end behind them.
    private final class Download: DownloadByteStream {
        private let pieces: Mutex<[[ByteBuffer]]>
        private let failure: StreamError?

        init(_ pieces: [[UInt8]], failure: StreamError? = nil) {
            self.pieces = Mutex(pieces.map { [ByteBuffer(bytes: $0)] })
            self.failure = failure
        }

        func next() async throws(StreamError) -> [ByteBuffer]? {
            let next = pieces.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            if next == nil, let failure { throw failure }
            return next
        }

        func abort() {}
    }

    /// A sink in memory.
    private final class Memory: ContentSink {
        let isRepeatable = true
        private let content = Mutex<[UInt8]>([])
        private let failure: FileError?

        init(failure: FileError? = nil) { self.failure = failure }

        var bytes: [UInt8] { content.withLock { $0 } }
        var hasContent: Bool { !bytes.isEmpty }

        func write(_ buffer: ByteBuffer) async throws(ClientError) {
            if let failure { throw .file(failure) }
            content.withLock { $0 += buffer.readableBytesView }
        }

        func finish() async throws(ClientError) -> StoredContent { .standardOutput }
        func discard() async {}
    }

    /// The stream of a content, and what it comes down to.
    private static func stream(_ text: String) async -> (bytes: [UInt8], summary: ContentSummary) {
        let upload = Upload()
        let uploader = Uploader(source: Content([text], size: UInt64(text.utf8.count)), stream: upload) { _ in }
        _ = await uploader.result()
        return (upload.bytes, uploader.summary ?? ContentSummary(size: 0, digest: []))
    }

    private func receive(
        _ pieces: [[UInt8]], size: UInt64?, limit: UInt64? = nil, failure: StreamError? = nil,
        into sink: Memory = Memory()
    ) async -> Result<ContentSummary, ClientError> {
        await Downloader(
            stream: Download(pieces, failure: failure), sink: sink, size: size, limit: limit, progress: { _ in }
        ).result()
    }

    // MARK: - Sending

    @Test func everythingIsSentAndSummedUp() async throws {
        let upload = Upload()
        let told = Mutex<[UInt64]>([])
        let source = Content(["one", "two"], size: 6)
        let uploader = Uploader(source: source, stream: upload) { bytes in told.withLock { $0.append(bytes) } }
        #expect(uploader.summary == nil)
        #expect(await uploader.result() == nil)
        #expect(UInt64(upload.bytes.count) == Uploader.bodyLength(of: 6))
        #expect(told.withLock { $0 } == [3, 6])
        var hash = ContentHash()
        hash.update(ByteBuffer(string: "onetwo"))
        #expect(uploader.summary == hash.finish() && !upload.isAborted)
    }

    @Test func anEmptyContentHasTheDigestOfNoBytes() {
        #expect(ContentHash().finish().hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test func aSourceThatFailsCutsTheStream() async {
        let upload = Upload()
        let failure = FileError(code: .changed, message: "it changed")
        let uploader = Uploader(source: Content(["one"], size: 6, failure: failure), stream: upload) { _ in }
        #expect(await uploader.result() == .file(failure))
        #expect(upload.isAborted && uploader.summary == nil)
    }

    @Test func aStreamThatFailsSaysWhy() async {
        let upload = Upload(failure: .silent)
        let uploader = Uploader(source: Content(["one"], size: nil), stream: upload) { _ in }
        #expect(await uploader.result() == .stream(.silent))
        #expect(upload.isAborted)
    }

    // MARK: - Receiving

    @Test func whatWasSentComesOutHoweverItWasCut() async throws {
        let (bytes, summary) = await Self.stream("some content")
        for length in [1, 3, 7, bytes.count] {
            let pieces = stride(from: 0, to: bytes.count, by: length).map { start in
                Array(bytes[start..<min(start + length, bytes.count)])
            }
            let sink = Memory()
            #expect(await receive(pieces, size: 12, into: sink) == .success(summary), "\(length)")
            #expect(sink.bytes == Array("some content".utf8))
        }
    }

    @Test func aCutBehindTheEndDoesNotMatter() async {
        let (bytes, summary) = await Self.stream("content")
        #expect(await receive([bytes], size: 7, failure: .cut) == .success(summary))
        #expect(await receive([Array(bytes.dropLast())], size: 7, failure: .cut) == .failure(.stream(.cut)))
    }

    @Test func aStreamWithoutItsEndIsNotWhole() async {
        let (bytes, _) = await Self.stream("content")
        let withoutEnd = Array(bytes.dropLast(StreamRecord.headLength + StreamRecord.digestLength))
        #expect(await receive([withoutEnd], size: 7) == .failure(.content(.verificationFailed)))
        #expect(await receive([], size: 7) == .failure(.content(.verificationFailed)))
    }

    @Test func contentWithAnotherDigestIsRefused() async {
        let (bytes, _) = await Self.stream("content")
        var altered = bytes
        altered[StreamRecord.headLength] ^= 1
        #expect(await receive([altered], size: 7) == .failure(.content(.verificationFailed)))
        // Less than was offered is not what was offered.
        #expect(await receive([bytes], size: 8) == .failure(.content(.verificationFailed)))
        #expect(await receive([bytes], size: 6) == .failure(.content(.malformed(.tooMuchContent))))
        #expect(await receive([bytes + [0]], size: 7) == .failure(.content(.malformed(.bytesAfterEnd))))
        var unknown = bytes
        unknown[0] = 9
        #expect(await receive([unknown], size: 7) == .failure(.content(.malformed(.unknownKind(9)))))
    }

    @Test func contentAboveTheLimitIsRefusedAsItComes() async {
        let (bytes, summary) = await Self.stream("content")
        #expect(await receive([bytes], size: nil, limit: 7) == .success(summary))
        #expect(await receive([bytes], size: nil, limit: 6) == .failure(.content(.tooLarge)))
    }

    @Test func aSinkThatFailsSaysWhy() async {
        let (bytes, _) = await Self.stream("content")
        let full = FileError(code: .noSpace, message: "the disk is full")
        #expect(await receive([bytes], size: 7, into: Memory(failure: full)) == .failure(.file(full)))
    }
}
