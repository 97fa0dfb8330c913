// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// Moves a download into a sink: receiving, unframing, hashing, storing, each a stage of its own.
struct Downloader: Sendable {
    let stream: any DownloadByteStream
    let sink: any ContentSink
    /// Bytes the offer promised; nil when it did not say.
    let size: UInt64?
    /// The most bytes this side takes; nil without a limit.
    let limit: UInt64?
    /// Told the bytes of content received so far, after each piece.
    let progress: @Sendable (UInt64) -> Void

    /// ``run()``, as a value.
    func result() async -> Result<ContentSummary, ClientError> {
        do throws(ClientError) {
            return .success(try await run())
        } catch {
            return .failure(error)
        }
    }

    /// Receives everything and compares it with the sender's digest. Nothing has the final name yet afterwards.
    func run() async throws(ClientError) -> ContentSummary {
        var decoder = RecordDecoder(size: size)
        var hash = ContentHash()
        var digest: [UInt8]?
        while let pieces = try await next(isComplete: digest != nil) {
            if Task.isCancelled { throw .interrupted }
            for piece in pieces {
                digest = try await take(piece, decoder: &decoder, hash: &hash) ?? digest
            }
            progress(hash.size)
        }
        // A body that is cut has thrown; one that ends well without its end record is not what the sender should send.
        guard let digest else { throw .content(.verificationFailed) }
        let summary = hash.finish()
        guard summary.digest == digest, size == nil || size == summary.size else {
            throw .content(.verificationFailed)
        }
        return summary
    }

    /// What has arrived. Once the end record was read, a cut does not matter any more.
    private func next(isComplete: Bool) async throws(ClientError) -> [ByteBuffer]? {
        do throws(StreamError) {
            return try await stream.next()
        } catch {
            if isComplete { return nil }
            throw .stream(error)
        }
    }

    /// Stores the content of one piece; returns the digest when the end record was in it.
    private func take(
        _ piece: ByteBuffer, decoder: inout RecordDecoder, hash: inout ContentHash
    ) async throws(ClientError) -> [UInt8]? {
        var piece = piece
        var digest: [UInt8]?
        while true {
            switch decoder.next(&piece) {
            case .content(let content):
                hash.update(content)
                if let limit, hash.size > limit { throw .content(.tooLarge) }
                try await sink.write(content)
            case .end(let end): digest = end
            case .needMore: return digest
            case .violation(let violation): throw .content(.malformed(violation))
            }
        }
    }
}

/// The bytes of a download, wherever they flow.
protocol DownloadByteStream: Sendable {
    /// Everything that has arrived since the last call, in order; waits when that is nothing. Nil at the end.
    func next() async throws(StreamError) -> [ByteBuffer]?
    /// Closes the connection at once, so that nothing can take it for an end.
    func abort()
}

extension DownloadStream: DownloadByteStream {}
