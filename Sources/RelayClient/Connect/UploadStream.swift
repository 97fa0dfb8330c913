// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import TLSTransport
import TransferClient
import WSProtocol

/// The sender's half of one transfer: `PUT` with a body that comes piece by piece.
final class UploadStream: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<UploadHandler>
    private let done: EventLoopFuture<UInt64?>

    private init(channel: any Channel, handler: NIOLoopBound<UploadHandler>, done: EventLoopFuture<UInt64?>) {
        self.channel = channel
        self.handler = handler
        self.done = done
    }

    /// Connects, sends the head and waits until the body may follow.
    ///
    /// - Parameter length: the body's exact length in bytes; nil sends it chunked.
    /// - Throws: ``StreamError``.
    static func open(
        _ target: RequestTarget, token: Token, length: UInt64?, dialer: Dialer
    ) async throws(StreamError) -> UploadStream {
        let head = head(for: target, token: token, length: length)
        let channel: any Channel
        do {
            channel = try await dialer.connect(to: target.endpoint, userTimeout: Defaults.dataUserTimeout) { channel in
                try HTTPCoding.install(on: channel.pipeline.syncOperations, forwardsInformational: true)
            }
        } catch {
            throw .connection(error)
        }
        let ready = channel.eventLoop.makePromise(of: Void.self)
        let done = channel.eventLoop.makePromise(of: UInt64?.self)
        do {
            let handler = try await channel.eventLoop.submit {
                try Self.start(UploadHandler(head: head, length: length, ready: ready, done: done), on: channel)
            }.get()
            try await ready.futureResult.get()
            return UploadStream(channel: channel, handler: handler, done: done.futureResult)
        } catch {
            ready.fail(error)
            done.fail(error)
            channel.close(promise: nil)
            throw (error as? StreamError) ?? .cut
        }
    }

    /// Sends a piece of the body and returns when there is room for the next one.
    func write(_ buffer: ByteBuffer) async throws(StreamError) {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        channel.eventLoop.execute { [handler] in handler.value.write(buffer, promise: promise) }
        try await Self.value(of: promise.futureResult)
    }

    /// Ends the body and waits for the relay's word that it handed everything on.
    ///
    /// - Returns: the count of bytes the relay says it was; nil when it says nothing.
    func finish() async throws(StreamError) -> UInt64? {
        channel.eventLoop.execute { [handler] in handler.value.end() }
        return try await Self.value(of: done)
    }

    /// The receiver has got further: the answer may take longer.
    func receiverProgressed() { channel.eventLoop.execute { [handler] in handler.value.receiverProgressed() } }

    /// Waits for the end without ending the body: an error answer, or the end of the connection.
    func failure() async -> StreamError? {
        do {
            _ = try await Self.value(of: done)
            return nil
        } catch {
            return error
        }
    }

    /// Closes the connection at once, so that nobody can take it for an end.
    func abort() { channel.triggerUserOutboundEvent(TLSCommand.abort, promise: nil) }

    private static func start(_ handler: UploadHandler, on channel: any Channel) throws -> NIOLoopBound<UploadHandler> {
        let pipeline = channel.pipeline.syncOperations
        try channel.syncOptions?.setOption(
            .writeBufferWaterMark,
            value: .init(low: Defaults.uploadLowWaterMark, high: Defaults.uploadHighWaterMark)
        )
        try pipeline.addHandler(handler)
        return NIOLoopBound(handler, eventLoop: channel.eventLoop)
    }

    private static func head(for target: RequestTarget, token: Token, length: UInt64?) -> HTTPRequestHead {
        var headers = HTTPCoding.headers(for: target)
        headers.add(name: "Authorization", value: "Bearer \(token.rawValue)")
        headers.add(name: "Content-Type", value: "application/octet-stream")
        headers.add(name: "Expect", value: "100-continue")
        if let length {
            headers.add(name: "Content-Length", value: "\(length)")
        } else {
            headers.add(name: "Transfer-Encoding", value: "chunked")
        }
        return HTTPRequestHead(version: .http1_1, method: .PUT, uri: target.target, headers: headers)
    }

    private static func value<Value: Sendable>(of future: EventLoopFuture<Value>) async throws(StreamError) -> Value {
        do {
            return try await future.get()
        } catch {
            throw (error as? StreamError) ?? .cut
        }
    }
}
