// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import Synchronization
import TransferClient
import WSProtocol

/// An upload over the relay's `/upload`.
struct HTTPUpload: ContentUpload {
    private let task: Task<Void, Never>
    /// The stream, once it stands.
    private let stream: Current

    private final class Current: Sendable {
        let stream = Mutex<UploadStream?>(nil)
    }

    /// Begins.
    ///
    /// - Parameters:
    ///   - start: the relay's `start`, which has just come.
    ///   - tell: told everything that happens.
    init(
        _ job: SendJob, _ start: ServerMessage.Start, connector: ControlConnector,
        tell: @escaping @Sendable (UploadEvent) -> Void
    ) {
        let current = Current()
        stream = current
        let context = StreamContext(size: job.source.size, connector: connector) { tell(.report($0)) }
        let opening = StreamOpening(start, of: job.transfer, connector: connector, in: context)
        task = Task(executorPreference: context.executor) {
            do throws(ClientError) {
                let length = Uploader.bodyLength(of: job.source.size)
                let stream = try await opening.run { target, dialer async throws(StreamError) in
                    try await UploadStream.open(target, token: start.token, length: length, dialer: dialer)
                } abort: { stream in
                    stream.abort()
                }
                current.stream.withLock { $0 = stream }
                context.report(.started(job.label))
                tell(.streaming)
                tell(.stopped(await Self.upload(job, stream: stream, in: context, tell: tell)))
            } catch {
                let error = error.stream ?? .cut
                tell(.ended(.broken(error.failure(as: .upload)), .stream(error)))
                tell(.stopped(nil))
            }
        }
    }

    func cut() { task.cancel() }

    func receiverProgressed() { stream.stream.withLock { $0 }?.receiverProgressed() }

    /// Returns what was sent, when everything was on its way.
    private static func upload(
        _ job: SendJob, stream: UploadStream, in context: StreamContext, tell: @escaping @Sendable (UploadEvent) -> Void
    ) async -> ContentSummary? {
        let uploader = Uploader(source: job.source, stream: stream) {
            context.report(.progress(job.transfer, bytes: $0))
        }
        switch await uploader.result() {
        case nil: tell(.ended(.finished, nil))
        case .stream(let error)?:
            stream.abort()
            tell(.ended(.broken(error.failure(as: .upload)), .stream(error)))
        case let error?:
            stream.abort()
            tell(.ended(.unreadable(error.file?.failureCode ?? .cannotRead), error))
        }
        return uploader.summary
    }
}

/// Moves a source's content into an upload: reading, hashing, framing, sending, each a stage of its own.
final class Uploader: Sendable {
    private let source: any ContentSource
    private let stream: any UploadByteStream
    /// Told the bytes of content sent so far, after each piece.
    private let progress: @Sendable (UInt64) -> Void
    private let sent = Mutex<ContentSummary?>(nil)

    init(source: any ContentSource, stream: any UploadByteStream, progress: @escaping @Sendable (UInt64) -> Void) {
        self.source = source
        self.stream = stream
        self.progress = progress
    }

    /// What was sent, once everything is on its way: to compare with what the receiver says.
    var summary: ContentSummary? { sent.withLock { $0 } }

    /// Sends everything and waits until the relay has handed it on. Ends as soon as the stream does, even while the
    /// source has nothing to give.
    ///
    /// - Returns: why it ended, unless that was well.
    func result() async -> ClientError? {
        await withTaskCancellationHandler {
            await withTaskGroup { group in
                group.addTask { await self.send() }
                group.addTask { [stream] in await stream.failure().map(ClientError.stream) }
                // Both succeed at the same moment; whichever fails first says why.
                var failure: ClientError?
                for await error in group where failure == nil && error != nil {
                    failure = error
                    // The group ends with its last task, and the one that watches the stream ends with the stream.
                    stream.abort()
                    group.cancelAll()
                }
                return failure
            }
        } onCancel: {
            stream.abort()
        }
    }

    /// Returns why not everything could be sent.
    private func send() async -> ClientError? {
        var hash = ContentHash()
        var framer = RecordFramer(fillsRecords: source.size != nil)
        do throws(ClientError) {
            while let content = try await source.read(max: Defaults.readSize) {
                if Task.isCancelled { return .interrupted }
                hash.update(content)
                let records = framer.frame(content)
                if records.readableBytes > 0 { try await write(records) }
                progress(hash.size)
            }
            let summary = hash.finish()
            sent.withLock { $0 = summary }
            try await write(framer.finish(digest: summary.digest))
        } catch {
            return error
        }
        do throws(StreamError) {
            _ = try await stream.finish()
            return nil
        } catch {
            return .stream(error)
        }
    }

    private func write(_ records: ByteBuffer) async throws(ClientError) {
        do throws(StreamError) {
            try await stream.write(records)
        } catch {
            throw .stream(error)
        }
    }

    /// The length of the body for content of `size` bytes; nil sends it chunked.
    static func bodyLength(of size: UInt64?) -> UInt64? {
        size.flatMap { RecordEncoder.streamLength(size: $0) }
    }
}

/// The bytes of an upload, wherever they flow.
protocol UploadByteStream: Sendable {
    /// Sends a piece and returns when there is room for the next one.
    func write(_ buffer: ByteBuffer) async throws(StreamError)
    /// Ends it and waits for the relay's word that it handed everything on.
    func finish() async throws(StreamError) -> UInt64?
    /// Waits for the end without ending it.
    func failure() async -> StreamError?
    /// Closes the connection at once, so that nothing can take it for an end.
    func abort()
}

extension UploadStream: UploadByteStream {}

/// The running SHA-256 and length of a content. Both ends have one between the content and the records, so that what
/// is compared is the content itself, however it travels.
struct ContentHash: Sendable {
    private var hash = SHA256()
    /// Bytes so far.
    private(set) var size: UInt64 = 0

    /// Takes the next piece, without copying it.
    mutating func update(_ piece: ByteBuffer) {
        unsafe piece.withUnsafeReadableBytes { unsafe hash.update(bufferPointer: $0) }
        size += UInt64(piece.readableBytes)
    }

    /// The summary of everything so far.
    func finish() -> ContentSummary {
        ContentSummary(size: size, digest: Array(hash.finalize()))
    }
}
