// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import TransferClient
import WSProtocol

/// An upload over the relay's `/upload`.
struct HTTPUpload: ContentUpload {
    private let task: Task<Void, Never>
    /// The stream, once it stands.
    private let stream: Current
    private let wishes = WishQueue()
    /// What it reads of what others read too.
    private let shared: SharedSource?

    private final class Current: Sendable {
        let stream = Mutex<UploadStream?>(nil)
    }

    /// Begins.
    ///
    /// - Parameter tell: told everything that happens.
    init(_ request: UploadRequest, connector: ControlConnector, tell: @escaping @Sendable (UploadEvent) -> Void) {
        let (current, wishes) = (Current(), wishes)
        stream = current
        let job = request.job
        let shared = job.tree.pipe.flatMap { pipe in pipe.isShared ? SharedSource(pipe: pipe, peer: job.peer) : nil }
        self.shared = shared
        let context = StreamContext(size: job.tree.size, connector: connector) { tell(.report($0)) }
        let opening = StreamOpening(request.start, of: job.shownID, connector: connector, in: context)
        task = Task(executorPreference: context.executor) {
            do throws(ClientError) {
                let reader = try await BlockingWork.files.run { try request.makeReader() }
                let length = request.bodyLength
                let token = request.start.token
                let stream = try await opening.run { target, dialer async throws(StreamError) in
                    try await UploadStream.open(target, token: token, length: length, dialer: dialer)
                } abort: { stream in
                    stream.abort()
                }
                current.stream.withLock { $0 = stream }
                context.report(.started(job.label))
                if reader.contentBytes > 0 { context.report(.resumed(job.shownID, bytes: reader.contentBytes)) }
                tell(.streaming)
                let uploader = Uploader(
                    reader: reader, keys: request.keys, readsPipe: job.tree.readsPipe, shared: shared, wishes: wishes,
                    stream: stream
                ) {
                    context.report(.progress(job.shownID, bytes: $0))
                }
                tell(.stopped(await Self.upload(uploader, over: stream, tell: tell)))
            } catch {
                switch error {
                case .stream(let cause):
                    tell(.ended(.broken(cause.failure(as: .upload)), error))
                case .interrupted: tell(.ended(.broken(.cut), .stream(.cut)))
                default: tell(.ended(.unreadable(error.failureCode(or: .cannotRead)), error))
                }
                tell(.stopped(nil))
            }
        }
    }

    func cut() { task.cancel() }

    func receiverProgressed() {
        stream.stream.withLock { $0 }?.receiverProgressed()
        shared?.pipe.moved()
    }

    func receiverWants(_ note: WantedNote) { wishes.post(note) }

    /// Returns how much the receiver has when it has everything, when that is on its way.
    private static func upload(
        _ uploader: Uploader, over stream: UploadStream, tell: @escaping @Sendable (UploadEvent) -> Void
    ) async -> DeliveredCounts? {
        switch await uploader.result() {
        case nil:
            tell(.ended(.finished, nil))
            // Once the receiver has all of it, time does not matter.
            await uploader.completeChecksums()
        case .stream(let error)?:
            stream.abort()
            tell(.ended(.broken(error.failure(as: .upload)), .stream(error)))
        case let error?:
            stream.abort()
            tell(.ended(.unreadable(error.failureCode(or: .cannotRead)), error))
        }
        return uploader.summary
    }
}

/// What the receiver says that it wants, in the order of its notes.
struct WishQueue: Sendable {
    private let notes: AsyncStream<WantedNote>
    private let continuation: AsyncStream<WantedNote>.Continuation

    /// What a manifest of the largest kind needs, of which each file but every other one is wanted, comes to a million
    /// of them; few of them wait, as each is taken at once.
    private static let mostNotes = 1_024

    init() {
        (notes, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.mostNotes))
    }

    /// Takes a note.
    func post(_ note: WantedNote) { continuation.yield(note) }

    /// Waits for the next one; nil when the task is cancelled.
    func next() async -> WantedNote? {
        for await note in notes { return note }
        return nil
    }
}

/// What one receiver gets of an input that others get too.
struct SharedSource: Sendable {
    let pipe: SourcePipe
    let peer: PeerName
}

/// Moves a transfer's content into an upload: reading and sealing on blocking threads, while what was sealed before is
/// being sent.
final class Uploader: Sendable {
    private let filling: ChunkFilling
    private let readsPipe: Bool
    private let shared: SharedSource?
    private let wishes: WishQueue
    private let stream: any UploadByteStream
    /// Told the bytes of content that are behind this point, after each piece.
    private let progress: @Sendable (UInt64) -> Void
    private let sent = Mutex<DeliveredCounts?>(nil)

    init(
        reader: SourceReader, keys: AttemptKeys, readsPipe: Bool, shared: SharedSource? = nil, wishes: WishQueue,
        stream: any UploadByteStream, progress: @escaping @Sendable (UInt64) -> Void
    ) {
        filling = ChunkFilling(reader, keys: keys)
        self.readsPipe = readsPipe
        self.shared = shared
        self.wishes = wishes
        self.stream = stream
        self.progress = progress
    }

    /// How much the receiver has when it has everything, once everything is on its way.
    var summary: DeliveredCounts? { sent.withLock { $0 } }

    /// Takes the checksums of what the receiver has had before, where they are asked for.
    func completeChecksums() async {
        try? await BlockingWork.files.run { [filling] in filling.completeChecksums() }
    }

    /// Sends everything and waits until the relay has handed it on. Ends as soon as the stream does, even while the
    /// source has nothing to give.
    ///
    /// - Returns: why it ended, unless that was well.
    func result() async -> ClientError? {
        await withTaskCancellationHandler {
            await withTaskGroup { group in
                group.addTask { await self.send() }
                group.addTask { [stream] in await stream.failure().map(ClientError.stream) }
                if let shared {
                    // The one that others wait for may itself wait for its receiver for ever.
                    group.addTask { await shared.pipe.dropped() ? SourcePipe.dropping(shared.peer) : nil }
                }
                // Both succeed at the same moment; whichever fails first says why.
                var (failure, ended): (ClientError?, Int) = (nil, 0)
                for await error in group {
                    ended += 1
                    // The third ends when there is nothing to be dropped any more.
                    if ended == 2, shared != nil { group.cancelAll() }
                    guard failure == nil, error != nil else { continue }
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
        do throws(ClientError) {
            var batch = try await fill().get()
            while true {
                if Task.isCancelled { return .interrupted }
                guard batch.goesOn else {
                    try await write(batch.bytes)
                    progress(batch.contentBytes)
                    if batch.isLast { break }
                    try await learnWishes()
                    batch = try await fill().get()
                    continue
                }
                // What comes next is read and sealed while this is being sent.
                async let next = fill()
                do throws(ClientError) {
                    try await write(batch.bytes)
                } catch {
                    _ = await next
                    throw error
                }
                progress(batch.contentBytes)
                batch = try await next.get()
            }
            sent.withLock { [filling] in $0 = filling.sent }
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

    /// Waits until the receiver has said which files it wants.
    private func learnWishes() async throws(ClientError) {
        while let note = await wishes.next() {
            try filling.want(note)
            if note.isLast { return }
        }
        throw .interrupted
    }

    private func fill() async -> Result<ChunkFilling.Batch, ClientError> {
        do throws(ClientError) {
            let filling = filling
            if let shared {
                await shared.pipe.ready()
                if Task.isCancelled { throw .interrupted }
                return .success(try await BlockingWork.files.run { thread in try filling.next(on: thread) })
            }
            // A pipe may have nothing for ever.
            let batch =
                readsPipe
                ? try await BlockingWork.input.runAbandonable { thread in try filling.next(on: thread) }
                : try await BlockingWork.files.run { thread in try filling.next(on: thread) }
            return .success(batch)
        } catch {
            return .failure(error)
        }
    }

    private func write(_ bytes: ByteBuffer) async throws(ClientError) {
        guard bytes.readableBytes > 0 else { return }
        do throws(StreamError) {
            try await stream.write(bytes)
        } catch {
            throw .stream(error)
        }
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
