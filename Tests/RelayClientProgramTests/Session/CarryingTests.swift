// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import Sealing
import Synchronization
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// The bytes of a transfer without a network: what goes into an upload, and what comes out of a download.
@Suite(.timeLimit(.minutes(5))) struct CarryingTests {
    private let files: SentFiles

    init() throws { files = try SentFiles() }

    /// An attempt to send `tree`, and its stream.
    private func sealed(_ tree: SourceTree) throws -> (attempt: SealedAttempt, bytes: [UInt8]) {
        let attempt = try SealedAttempt(tree.summary)
        return (attempt, try attempt.stream(tree))
    }

    private func receive(
        _ pieces: [[UInt8]], of attempt: SealedAttempt, limit: UInt64? = nil, failure: StreamError? = nil,
        into sink: MemorySink = MemorySink(), wants: @escaping @Sendable ([WantedNote]) -> Void = { _ in }
    ) async -> ClientError? {
        let opening = ChunkOpening(attempt.offer, keys: attempt.keys, into: sink, limit: limit)
        let downloader = Downloader(
            stream: MemoryDownload(pieces, failure: failure), sink: sink, opening: opening, progress: { _ in },
            wants: wants
        )
        return switch await downloader.result() {
        case .success: nil
        case .failure(let error): error
        }
    }

    private func uploader(
        _ tree: SourceTree, _ attempt: SealedAttempt, over upload: MemoryUpload, wishes: WishQueue = WishQueue(),
        progress: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) throws -> Uploader {
        Uploader(
            reader: try attempt.reader(tree), keys: attempt.keys, readsPipe: tree.readsPipe, wishes: wishes,
            stream: upload, progress: progress
        )
    }

    // MARK: - Sending

    /// Nothing, less than a chunk, about one, about a batch of them, and more.
    @Test(arguments: [0, 1, 65_000, 65_536, 16 * 65_536, 40 * 65_536 + 1]) func everythingIsSentAndSummedUp(
        _ size: Int
    ) async throws {
        let upload = MemoryUpload()
        let told = Mutex<[UInt64]>([])
        let tree = try files.scan([try files.folder(of: [3, size])])
        let attempt = try SealedAttempt(tree.summary)
        let uploader = try uploader(tree, attempt, over: upload) { bytes in told.withLock { $0.append(bytes) } }
        #expect(uploader.summary == nil)
        #expect(await uploader.result() == nil)
        let length = tree.streamLength(from: .beginning, wantsByNote: false).flatMap(Chunk.bodyLength)
        #expect(UInt64(upload.bytes.count) == length)
        let progress = told.withLock { $0 }
        #expect(progress.last == UInt64(size + 3) && progress == progress.sorted())
        // One for each batch of chunks.
        #expect(progress.count == (upload.bytes.count - 1) / (Defaults.sealedBatch * Chunk.length) + 1)
        #expect(uploader.summary == DeliveredCounts(entries: 3, bytes: UInt64(size + 3)) && !upload.isAborted)
        #expect(try upload.bytes == attempt.stream(tree))
    }

    @Test func aSourceThatFailsCutsTheStream() async throws {
        let upload = MemoryUpload()
        let tree = try files.tree(size: 6)
        let attempt = try SealedAttempt(tree.summary)
        let uploader = try uploader(tree, attempt, over: upload)
        try files.change(tree)
        #expect(await uploader.result()?.file?.code == .changed)
        #expect(upload.isAborted && uploader.summary == nil)
    }

    @Test func aStreamThatFailsSaysWhy() async throws {
        let upload = MemoryUpload(failure: .silent)
        let tree = try files.tree()
        let uploader = try uploader(tree, try SealedAttempt(tree.summary), over: upload)
        #expect(await uploader.result() == .stream(.silent))
        #expect(upload.isAborted && uploader.summary == nil)
    }

    /// What came through a pipe goes on its way, while more is waited for; and the upload ends when the stream does.
    @Test func aPipeDoesNotHoldBackWhatItHasGiven() async throws {
        let upload = MemoryUpload()
        let tree = try files.pipe("content", isWhole: false)
        let attempt = try SealedAttempt(tree.summary)
        let uploader = try uploader(tree, attempt, over: upload)
        async let result = uploader.result()
        await upload.hasBytes(Chunk.length)
        let sink = MemorySink()
        #expect(await receive([upload.bytes], of: attempt, failure: .cut, into: sink) == .stream(.cut))
        #expect(sink.text == "content")
        upload.abort()
        #expect(await result == .stream(.cut))
    }

    @Test func onlyTheFilesThatNotesNameAreSent() async throws {
        let tree = try files.scan([try files.folder(of: [1, 2, 3, 4])])
        let attempt = try SealedAttempt(tree.summary, Acceptance(wantsByNote: true))
        let (upload, wishes) = (MemoryUpload(), WishQueue())
        let uploader = try uploader(tree, attempt, over: upload, wishes: wishes)
        async let result = uploader.result()
        // The manifest is there before anything is said about it.
        await upload.hasBytes(Chunk.length)
        let sink = MemorySink(wants: [false, true, false, true])
        let opening = ChunkOpening(attempt.offer, keys: attempt.keys, into: sink, limit: nil)
        let manifest = upload.bytes
        let notes = try opening.take([ByteBuffer(bytes: manifest)], on: BlockingThread())
        #expect(notes == [WantedNote(runs: [.init(skip: 1, take: 1), .init(skip: 1, take: 1)], isLast: true)])
        // In two notes it is the same.
        wishes.post(WantedNote(runs: [.init(skip: 1, take: 1)], isLast: false))
        wishes.post(WantedNote(runs: [.init(skip: 1, take: 1)], isLast: true))
        #expect(await result == nil)
        _ = try opening.take([ByteBuffer(bytes: upload.bytes.dropFirst(manifest.count))], on: BlockingThread())
        try opening.finish(on: BlockingThread())
        #expect(sink.files == [SentFiles.content(2), SentFiles.content(4)])
        // The folder, and two of four files.
        #expect(uploader.summary == DeliveredCounts(entries: 3, bytes: 6))
    }

    @Test func aSenderDoesNotWaitForNotesOfAReceiverThatIsGone() async throws {
        let tree = try files.tree()
        let attempt = try SealedAttempt(tree.summary, Acceptance(wantsByNote: true))
        let upload = MemoryUpload()
        let uploader = try uploader(tree, attempt, over: upload)
        async let result = uploader.result()
        await upload.hasBytes(Chunk.length)
        upload.abort()
        #expect(await result == .stream(.cut))
    }

    @Test func onlyWhatIsMissingIsSent() async throws {
        let tree = try files.scan([try files.folder(of: [5, 100_000, 7])])
        let (first, _) = try sealed(tree)
        // A whole one, and a part of the next.
        let whole = MemorySink()
        #expect(await receive([try first.stream(tree)], of: first, into: whole) == nil)
        let part = SentFiles.content(70_000)
        let position = TransferPosition(file: 1, offset: 70_000)
        let second = try SealedAttempt(tree.summary, Acceptance(position: position), of: first.transfer)
        let upload = MemoryUpload()
        let told = Mutex<[UInt64]>([])
        let uploader = try uploader(tree, second, over: upload) { bytes in told.withLock { $0.append(bytes) } }
        #expect(await uploader.result() == nil)
        #expect(UInt64(upload.bytes.count) < 31_000)
        #expect(told.withLock { $0 } == [100_012])
        let sink = MemorySink(
            whole.entries, manifest: tree.digest, having: [SentFiles.content(5), part]
        )
        #expect(await receive([upload.bytes], of: second, into: sink) == nil)
        #expect(sink.files == [5, 100_000, 7].map(SentFiles.content))
        // It is the manifest that was here, or it is not gone on with.
        let other = MemorySink(whole.entries, manifest: [UInt8](repeating: 0, count: 32), having: [part])
        #expect(await receive([upload.bytes], of: second, into: other) == .sealing(.sourceChanged))
    }

    // MARK: - Receiving

    @Test func whatWasSentComesOutHoweverItWasCut() async throws {
        let tree = try files.scan([try files.folder(of: [12, 0, 70_000])])
        let (attempt, bytes) = try sealed(tree)
        for length in [1_000, 7_777, Chunk.length, bytes.count] {
            let pieces = stride(from: 0, to: bytes.count, by: length).map { start in
                Array(bytes[start..<min(start + length, bytes.count)])
            }
            let sink = MemorySink()
            #expect(await receive(pieces, of: attempt, into: sink) == nil, "\(length)")
            #expect(sink.files == [12, 0, 70_000].map(SentFiles.content), "\(length)")
            #expect(sink.manifest == tree.digest && sink.checkpoints == pieces.count, "\(length)")
            let stored = sink.finish().summary
            #expect(tree.delivered(wanted: nil).agree(with: stored) && stored.manifest == tree.digest)
        }
    }

    /// A byte at a time, as a slow network may bring them.
    @Test func whatComesInSinglesIsPutTogether() async throws {
        let tree = try files.tree("name", size: 12)
        let (attempt, bytes) = try sealed(tree)
        let sink = MemorySink()
        #expect(await receive(bytes.map { [$0] }, of: attempt, into: sink) == nil)
        #expect(sink.files == [SentFiles.content(12)])
    }

    @Test func aHoleIsAsLongAsItWas() async throws {
        let tree = try files.tree(size: (1 << 20) + 1)
        let (attempt, bytes) = try sealed(tree)
        #expect(bytes.count < 1_000)
        let sink = MemorySink()
        #expect(await receive([bytes], of: attempt, into: sink) == nil)
        #expect(sink.files == [[UInt8](repeating: 0, count: (1 << 20) + 1)])
        #expect(await receive([bytes], of: attempt, limit: 1 << 20) == .tooLarge)
    }

    @Test func aCutBehindTheEndDoesNotMatter() async throws {
        let (attempt, bytes) = try sealed(try files.tree(size: 7))
        #expect(await receive([bytes], of: attempt, failure: .cut) == nil)
        #expect(await receive([Array(bytes.dropLast())], of: attempt, failure: .cut) == .stream(.cut))
        #expect(await receive([], of: attempt, failure: .cut) == .stream(.cut))
    }

    @Test func whatCameBeforeACutIsKept() async throws {
        let (attempt, bytes) = try sealed(try files.tree(size: 200_000))
        let sink = MemorySink()
        let part = Array(bytes.prefix(2 * Chunk.length + 100))
        #expect(await receive([part], of: attempt, failure: .cut, into: sink) == .stream(.cut))
        // Two whole chunks, less what is before the content.
        let content = try #require(sink.files.first)
        #expect((130_000..<131_072).contains(content.count))
        #expect(content == SentFiles.content(content.count))
    }

    /// A body that ends as if it were whole, between two chunks or within one.
    @Test func aStreamWithoutItsEndIsNotWhole() async throws {
        let (attempt, bytes) = try sealed(try files.tree(size: 200_000))
        for count in [0, Chunk.length, 3 * Chunk.length] {
            #expect(await receive([Array(bytes.prefix(count))], of: attempt) == .stream(.cut), "\(count)")
        }
        for count in [Chunk.length + 100, bytes.count - 1] {
            let error = await receive([Array(bytes.prefix(count))], of: attempt)
            #expect(error == .sealing(.doesNotOpen(.chunk)), "\(count)")
        }
    }

    @Test func whatWasAlteredIsRefusedBeforeItIsStored() async throws {
        let (attempt, bytes) = try sealed(try files.tree(size: 100_000))
        for index in [0, 70, Chunk.length - 1, Chunk.length, bytes.count - 1] {
            var altered = bytes
            altered[index] ^= 1
            let sink = MemorySink()
            let error = await receive([altered], of: attempt, into: sink)
            #expect(error?.failureCode(or: .cannotWrite) == .verificationFailed, "\(index)")
            // Nothing of the chunk is here, nor of what is behind it.
            #expect(sink.receivedBytes < 65_536 && sink.entries.isEmpty == (index < Chunk.length), "\(index)")
        }
    }

    @Test func chunksOfAnotherPlaceOrAttemptAreRefused() async throws {
        let tree = try files.tree(size: 200_000)
        let (attempt, bytes) = try sealed(tree)
        let moved = Array(bytes[Chunk.length..<2 * Chunk.length]) + bytes
        let repeated = Array(bytes.prefix(Chunk.length)) + bytes
        let (_, others) = try sealed(tree)
        for stream in [moved, repeated, others, bytes + [0], bytes + bytes] {
            let error = await receive([stream], of: attempt)
            #expect(error?.failureCode(or: .cannotWrite) == .verificationFailed)
        }
    }

    /// What the sender seals is held to what it offered.
    @Test func whatWasNotOfferedIsRefused() async throws {
        let tree = try files.tree(size: 7)
        for (entries, bytes): (UInt64?, UInt64?) in [(2, 7), (1, 8), (1, 6), (0, 0)] {
            var summary = tree.summary
            (summary.entries, summary.bytes) = (entries, bytes)
            let attempt = try SealedAttempt(summary)
            let sink = MemorySink()
            let error = await receive([try attempt.stream(tree)], of: attempt, into: sink)
            #expect(error?.failureCode(or: .cannotWrite) == .protocolError, "\(bytes as Any)")
            #expect(!sink.hasContent)
        }
    }

    @Test func aManifestThatIsSignedByAnotherIsRefused() async throws {
        let tree = try files.tree(size: 7)
        let attempt = try SealedAttempt(tree.summary)
        let bytes = try sealedStream(of: tree, as: attempt.transfer, keys: attempt.keys, signedBy: .init())
        #expect(await receive([bytes], of: attempt) == .sealing(.manifest(.signature)))
    }

    @Test func contentAboveTheLimitIsRefusedAsItComes() async throws {
        let tree = try files.pipe("content")
        let (attempt, bytes) = try sealed(tree)
        #expect(tree.size == nil)
        #expect(await receive([bytes], of: attempt, limit: 7) == nil)
        #expect(await receive([bytes], of: attempt, limit: 6) == .tooLarge)
    }

    @Test func aSinkThatFailsSaysWhy() async throws {
        let (attempt, bytes) = try sealed(try files.tree(size: 7))
        let full = FileError(code: .noSpace, message: "the disk is full")
        #expect(await receive([bytes], of: attempt, into: MemorySink(failure: full)) == .file(full))
    }

    @Test func theSenderIsToldWhatIsWanted() async throws {
        let tree = try files.scan([try files.folder(of: [1, 2])])
        let attempt = try SealedAttempt(tree.summary, Acceptance(wantsByNote: true))
        let wanted = [WantedNote(runs: [.init(skip: 1, take: 1)], isLast: true)]
        let bytes = try attempt.stream(tree, wanted: wanted)
        let told = Mutex<[WantedNote]>([])
        let sink = MemorySink(wants: [false, true])
        let error = await receive([bytes], of: attempt, into: sink) { notes in told.withLock { $0 += notes } }
        #expect(error == nil && told.withLock { $0 } == wanted)
        #expect(sink.files == [SentFiles.content(2)])
    }
}
