// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import WSProtocol

/// An upload over the relay's `/upload`.
struct StreamUpload: ContentUpload {
    private let task: Task<Void, Never>
    /// The stream, once it stands.
    private let stream: NIOLockedValueBox<UploadStream?>

    /// Begins.
    ///
    /// - Parameters:
    ///   - start: the relay's `start`, which has just come.
    ///   - tell: told everything that happens.
    init(
        _ job: SendJob, _ start: ServerMessage.Start, link: RelayLink, tell: @escaping @Sendable (UploadEvent) -> Void
    ) {
        let current = NIOLockedValueBox<UploadStream?>(nil)
        stream = current
        let place = StreamPlace(size: job.source.size, link: link) { tell(.report($0)) }
        let opening = StreamOpening(
            .upload, url: start.url, expires: start.expires, of: job.transfer, link: link, at: place
        )
        task = Task(executorPreference: place.executor) {
            do {
                let length = Uploader.bodyLength(of: job.source.size)
                let stream = try await opening.run { target, dialer in
                    try await UploadStream.open(target, token: start.token, length: length, dialer: dialer)
                } abort: { stream in
                    stream.abort()
                }
                current.withLockedValue { $0 = stream }
                place.report(.started(job.label))
                tell(.streaming)
                tell(.stopped(await Self.upload(job, stream: stream, at: place, tell: tell)))
            } catch {
                let error = (error as? StreamError) ?? .cut
                tell(.ended(.broken(error.failure(as: .upload)), error))
                tell(.stopped(nil))
            }
        }
    }

    func cut() { task.cancel() }

    func receiverProgressed() { stream.withLockedValue { $0 }?.receiverProgressed() }

    /// Returns what was sent, when everything was on its way.
    private static func upload(
        _ job: SendJob, stream: UploadStream, at place: StreamPlace, tell: @escaping @Sendable (UploadEvent) -> Void
    ) async -> ContentSummary? {
        let sent = NIOLockedValueBox<ContentSummary?>(nil)
        let uploader = Uploader(
            source: job.source, stream: stream,
            progress: { place.report(.progress(job.transfer, bytes: $0)) },
            summed: { summary in sent.withLockedValue { $0 = summary } }
        )
        do {
            try await uploader.run()
            tell(.ended(.finished, nil))
        } catch let error as StreamError {
            stream.abort()
            tell(.ended(.broken(error.failure(as: .upload)), error))
        } catch {
            stream.abort()
            tell(.ended(.unreadable((error as? FileError)?.failureCode ?? .cannotRead), error))
        }
        return sent.withLockedValue { $0 }
    }
}
