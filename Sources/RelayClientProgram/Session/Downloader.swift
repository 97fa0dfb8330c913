// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import TransferClient
import WSProtocol

/// Moves a download into a sink: opening, checking and storing on blocking threads, while more is being received.
struct Downloader: Sendable {
    let stream: any DownloadByteStream
    let sink: any TransferSink
    let opening: ChunkOpening
    /// Told the bytes of content that are here, after each piece.
    let progress: @Sendable (UInt64) -> Void
    /// Told which files are wanted.
    let wants: @Sendable ([WantedNote]) -> Void

    /// ``run()``, as a value.
    func result() async -> Result<Void, ClientError> {
        do throws(ClientError) {
            return .success(try await run())
        } catch {
            return .failure(error)
        }
    }

    /// Receives everything, verified. Nothing has its final name yet afterwards. What came before an error is kept by
    /// the sink as far as it was verified.
    func run() async throws(ClientError) {
        while let pieces = try await next() {
            if Task.isCancelled { throw .interrupted }
            let notes = try await work { thread in try store(pieces, on: thread) }
            if !notes.isEmpty { wants(notes) }
        }
        try await work { [opening] thread in try opening.finish(on: thread) }
    }

    /// Stores what has arrived, and whatever arrives meanwhile: each change of threads costs as much as a chunk.
    private func store(_ pieces: [ByteBuffer], on thread: BlockingThread) throws -> [WantedNote] {
        var pieces = pieces
        while true {
            let notes = try opening.take(pieces, on: thread)
            progress(sink.receivedBytes)
            guard notes.isEmpty else { return notes }
            pieces = stream.arrived()
            if pieces.isEmpty { return [] }
        }
    }

    /// What has arrived. A cut behind the last chunk does not matter any more.
    private func next() async throws(ClientError) -> [ByteBuffer]? {
        do throws(StreamError) {
            return try await stream.next()
        } catch {
            let isWhole = try await work { [opening] thread in try opening.isWhole(on: thread) }
            if isWhole { return nil }
            throw .stream(error)
        }
    }

    /// Makes what came durable, and gives it its final names.
    static func finish(_ sink: any TransferSink) async -> Result<StoredTransfer, ClientError> {
        do throws(ClientError) {
            return .success(
                sink.isAbandonable
                    ? try await BlockingWork.output.runAbandonable { try sink.finish() }
                    : try await BlockingWork.files.run { try sink.finish() }
            )
        } catch {
            return .failure(error)
        }
    }

    private func work<Value: Sendable>(
        _ body: @escaping @Sendable (BlockingThread) throws -> Value
    ) async throws(ClientError) -> Value {
        sink.isAbandonable
            ? try await BlockingWork.output.runAbandonable(body) : try await BlockingWork.files.run(body)
    }
}

/// The bytes of a download, wherever they flow.
protocol DownloadByteStream: Sendable {
    /// Everything that has arrived since the last call, in order; waits when that is nothing. Nil at the end.
    func next() async throws(StreamError) -> [ByteBuffer]?
    /// Everything that has arrived since the last call, without waiting, on any thread; empty when that is nothing, or
    /// at the end.
    func arrived() -> [ByteBuffer]
}

extension DownloadStream: DownloadByteStream {}

/// Opens the chunks of one stream, checks what is in them, and stores it. Blocks; one caller at a time.
final class ChunkOpening: Sendable {
    private struct State {
        var opener: ChunkOpener
        var decoder: StreamDecoder
        var notes: [WantedNote] = []
        /// The bytes of the manifest so far; nil once it is whole.
        var manifest: UInt64? = 0
        /// Whether the last chunk was opened, and the stream is whole.
        var isWhole = false
    }

    private let sink: any TransferSink
    /// The most bytes of content this side takes; nil without a limit.
    private let limit: UInt64?
    private let state: Mutex<State>

    init(_ offer: ReceivedOffer, keys: AttemptKeys, into sink: any TransferSink, limit: UInt64?) {
        self.sink = sink
        self.limit = limit
        let begins = sink.position == .beginning ? nil : sink.manifest
        let expectation =
            begins.map { StreamExpectation(goingOnWith: offer, manifest: $0) } ?? StreamExpectation(of: offer)
        state = Mutex(State(opener: ChunkOpener(of: keys), decoder: StreamDecoder(expectation)))
    }

    /// Takes what came. Returns what the sender is to be told.
    func take(_ pieces: [ByteBuffer], on _: BlockingThread) throws -> [WantedNote] {
        try state.withLock { state in
            for piece in pieces {
                var piece = piece
                while let chunk = try state.opener.append(&piece) { try open(chunk, &state) }
            }
            try sink.checkpoint(now: .now(), isForced: false)
            defer { state.notes = [] }
            return state.notes
        }
    }

    /// The body has ended: throws unless the stream is whole.
    func finish(on _: BlockingThread) throws {
        try state.withLock { state in
            guard !state.isWhole else { return }
            let last: ChunkWork
            // However the body ended, it is one that is cut.
            do { last = try state.opener.finish() } catch SealingError.cut { throw StreamError.cut }
            try open(last, &state)
            try state.decoder.finish()
            state.isWhole = true
        }
    }

    /// The body was cut: whether that was behind its last chunk.
    func isWhole(on thread: BlockingThread) throws -> Bool {
        do {
            try finish(on: thread)
            return true
        } catch is SealingError {
            return false
        } catch is StreamError {
            return false
        }
    }

    private func open(_ chunk: ChunkWork, _ state: inout State) throws {
        if let limit, let before = state.manifest {
            let bytes = before + UInt64(chunk.buffer.readableBytes)
            guard bytes <= max(limit, Defaults.unlimitedManifest) else { throw ClientError.tooLarge }
            state.manifest = bytes
        }
        try state.decoder.append { buffer throws(SealingError) in try chunk.cipher.open(chunk.buffer, into: &buffer) }
        while true {
            switch try state.decoder.next() {
            case .entry(let entry): try sink.take(entry)
            case .manifest(let digest):
                state.manifest = nil
                state.notes += try sink.takeManifest(digest)
            case .nextFile: state.decoder.begin(try sink.nextFile())
            case .data(let data):
                try sink.write(data)
                if let limit, sink.receivedBytes > limit { throw ClientError.tooLarge }
            case .hole(let length):
                try sink.skip(length)
                if let limit, sink.receivedBytes > limit { throw ClientError.tooLarge }
            case .fileEnd: try sink.endFile()
            case .end: break
            case .needMore: return
            }
        }
    }
}
