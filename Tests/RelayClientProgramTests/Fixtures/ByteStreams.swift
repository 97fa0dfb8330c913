// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Sealing
import Synchronization
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// An upload that keeps what it is given, and ends as it is told.
final class MemoryUpload: UploadByteStream {
    private struct State {
        var bytes: [UInt8] = []
        var isFinished = false
        var isAborted = false
        var waiting: CheckedContinuation<StreamError?, Never>?
    }

    private let state = Mutex(State())
    private let failure: StreamError?
    private let written = AsyncStream<Void>.makeStream()

    init(failure: StreamError? = nil) { self.failure = failure }

    var bytes: [UInt8] { state.withLock { $0.bytes } }
    var isAborted: Bool { state.withLock { $0.isAborted } }

    /// Waits until at least so many bytes have come.
    func hasBytes(_ count: Int) async {
        for await _ in written.stream where bytes.count >= count { return }
    }

    func write(_ buffer: ByteBuffer) async throws(StreamError) {
        if let failure { throw failure }
        state.withLock { $0.bytes += buffer.readableBytesView }
        written.continuation.yield()
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
final class MemoryDownload: DownloadByteStream {
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

    func arrived() -> [ByteBuffer] { [] }
}

/// Keeps a transfer in memory.
final class MemorySink: TransferSink {
    private struct State {
        var position = TransferPosition.beginning
        var manifest: ManifestDigest?
        var entries: [ManifestEntry] = []
        /// The content of each file that has begun, of those that are wanted.
        var files: [[UInt8]] = []
        var next = 0
        var checkpoints = 0
        var loops = 0
    }

    private let state: Mutex<State>
    private let failure: FileError?
    private let wants: [Bool]?
    let isRepeatable = true
    let isAbandonable = false

    /// - Parameters:
    ///   - entries: the manifest that is here already.
    ///   - files: what is here of its files.
    ///   - wants: which files of the manifest are wanted; nil where that is all.
    ///   - failure: what writing ends with.
    init(
        _ entries: [ManifestEntry] = [], manifest: ManifestDigest? = nil, having files: [[UInt8]] = [],
        wants: [Bool]? = nil, failure: FileError? = nil
    ) {
        self.failure = failure
        self.wants = wants
        var state = State(manifest: manifest, entries: entries, files: files)
        if let last = files.last {
            state.position = TransferPosition(file: UInt64(files.count - 1), offset: UInt64(last.count))
            state.next = files.count - 1
        }
        self.state = Mutex(state)
    }

    var position: TransferPosition { state.withLock { $0.position } }
    var manifest: ManifestDigest? { state.withLock { $0.manifest } }
    var entries: [ManifestEntry] { state.withLock { $0.entries } }
    var files: [[UInt8]] { state.withLock { $0.files } }
    var text: String { String(decoding: files.first ?? [], as: UTF8.self) }
    var checkpoints: Int { state.withLock { $0.checkpoints } }
    /// How often it was given content on an event loop.
    var callsOnLoops: Int { state.withLock { $0.loops } }

    func acceptance() -> Acceptance { Acceptance(position: position, wantsByNote: wants != nil) }
    func take(_ entry: ManifestEntry) { state.withLock { $0.entries.append(entry) } }

    func takeManifest(_ digest: ManifestDigest) -> [WantedNote] {
        state.withLock { $0.manifest = digest }
        guard let wants else { return [] }
        var writer = WantedFilesWriter()
        let full = wants.compactMap { writer.append(isWanted: $0) }
        return full + [writer.finish()]
    }

    func nextFile() -> ExpectedFile? {
        state.withLock { state in
            let sizes: [UInt64?] = state.entries.compactMap { entry in
                if case .file(let size) = entry.kind { .some(size) } else { nil }
            }
            while state.next < sizes.count, wants?[state.next] == false { state.next += 1 }
            guard state.next < sizes.count else { return nil }
            defer { state.next += 1 }
            let isGoingOn = state.position.file == UInt64(state.next) && state.position.offset > 0
            if !isGoingOn { state.files.append([]) }
            return ExpectedFile(size: sizes[state.next], offset: isGoingOn ? state.position.offset : 0)
        }
    }

    func write(_ data: ByteBuffer) throws(FileError) {
        if let failure { throw failure }
        state.withLock { state in
            state.files[state.files.count - 1] += data.readableBytesView
            if MultiThreadedEventLoopGroup.currentEventLoop != nil { state.loops += 1 }
        }
    }

    func skip(_ hole: UInt64) throws(FileError) {
        if let failure { throw failure }
        state.withLock { $0.files[$0.files.count - 1] += [UInt8](repeating: 0, count: Int(hole)) }
    }

    func endFile() {}
    func checkpoint(now: NIODeadline, isForced: Bool) { state.withLock { $0.checkpoints += 1 } }

    func finish() -> StoredTransfer {
        let state = state.withLock { $0 }
        let bytes = state.files.reduce(UInt64(0)) { $0 + UInt64($1.count) }
        let summary = DeliveredSummary(
            manifest: state.manifest ?? [], entries: UInt64(state.entries.count), bytes: bytes
        )
        return StoredTransfer(contents: [], summary: summary, files: UInt64(state.files.count))
    }

    func confirmed() {}
    func keep() {}
    func discard() {}
    var receivedBytes: UInt64 { files.reduce(0) { $0 + UInt64($1.count) } }
    var hasContent: Bool { !files.isEmpty }
}

/// One attempt of alice to send something to bob, sealed for real, up to its keys.
struct SealedAttempt {
    let alice: FakePeer
    let bob: FakePeer
    let transfer: CarriedTransfer
    /// What bob has opened.
    let offer: ReceivedOffer
    let acceptance: Acceptance
    /// The same on both sides.
    let keys: AttemptKeys

    /// - Parameters:
    ///   - summary: what is offered.
    ///   - acceptance: what bob answers.
    init(
        _ summary: OfferSummary, _ acceptance: Acceptance = Acceptance(), of transfer: CarriedTransfer = .random()
    ) throws {
        (alice, bob) = (try FakePeer(Samples.alice), try FakePeer(Samples.bob))
        self.transfer = transfer
        self.acceptance = acceptance
        var generator = SystemRandomNumberGenerator()
        let parties = AttemptParties(attempt: .random(), sender: alice.party, receiver: bob.party)
        let sent = try OfferSealing.seal(
            summary, of: transfer, between: parties, to: bob.prekey, signedBy: alice.signingKey, time: Samples.now,
            using: &generator
        )
        offer = try OfferSealing.open(sent.payload, between: parties, with: bob.ratchet, time: Samples.now)
        let accepted = try bob.accept(offer, acceptance)
        keys = try AcceptSealing.open(Array(accepted.payload.bytes), to: sent).keys
    }

    /// The stream of `tree`.
    func stream(_ tree: SourceTree, wanted: [WantedNote] = []) throws -> [UInt8] {
        try sealedStream(
            of: tree, as: transfer, acceptance, keys: keys, signedBy: alice.signingKey, wanted: wanted
        )
    }

    /// The reader of `tree`, from where bob wants it.
    func reader(_ tree: SourceTree) throws -> SourceReader {
        try tree.reader(
            for: transfer, from: acceptance.position, wantsByNote: acceptance.wantsByNote, signedBy: alice.signingKey
        )
    }
}
