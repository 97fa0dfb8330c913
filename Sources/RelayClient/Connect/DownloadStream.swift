// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import TLSTransport
import TransferClient
import WSProtocol

/// The receiver's half of one transfer: `GET`, and a body that is taken piece by piece.
final class DownloadStream: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<DownloadHandler>
    private let ready: EventLoopFuture<Void>

    private init(channel: any Channel, handler: NIOLoopBound<DownloadHandler>, ready: EventLoopFuture<Void>) {
        self.channel = channel
        self.handler = handler
        self.ready = ready
    }

    /// Connects and sends the request, which the relay holds until the sender's half is there.
    ///
    /// - Throws: ``StreamError``.
    private static func open(
        _ target: RequestTarget, token: Token, dialer: Dialer
    ) async throws(StreamError) -> DownloadStream {
        var headers = HTTPCoding.headers(for: target)
        headers.add(name: "Authorization", value: "Bearer \(token.rawValue)")
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: target.target, headers: headers)
        let channel: any Channel
        do {
            channel = try await dialer.connect(to: target.endpoint, userTimeout: Defaults.dataUserTimeout) { channel in
                try HTTPCoding.install(on: channel.pipeline.syncOperations)
            }
        } catch {
            throw .connection(error)
        }
        let ready = channel.eventLoop.makePromise(of: Void.self)
        do {
            let handler = try await channel.eventLoop.submit {
                let handler = DownloadHandler(head: head, ready: ready)
                try channel.pipeline.syncOperations.addHandler(handler)
                return NIOLoopBound(handler, eventLoop: channel.eventLoop)
            }.get()
            return DownloadStream(channel: channel, handler: handler, ready: ready.futureResult)
        } catch {
            ready.fail(error)
            channel.close(promise: nil)
            throw .cut
        }
    }

    /// As ``open(_:token:dialer:)``, and waits until the sender's half has arrived and the body begins.
    static func begun(_ target: RequestTarget, token: Token, dialer: Dialer) async throws(StreamError) -> DownloadStream
    {
        let stream = try await open(target, token: token, dialer: dialer)
        do {
            try await withTaskCancellationHandler {
                try await stream.ready.get()
            } onCancel: {
                stream.abort()
            }
            return stream
        } catch {
            stream.abort()
            throw (error as? StreamError) ?? .cut
        }
    }

    /// Everything that has arrived since the last call, in order; waits when that is nothing.
    ///
    /// - Returns: nil at the end of a body that is whole as far as HTTP can tell.
    /// - Throws: ``StreamError``, after everything that arrived before it.
    func next() async throws(StreamError) -> [ByteBuffer]? {
        let promise = channel.eventLoop.makePromise(of: [ByteBuffer]?.self)
        channel.eventLoop.execute { [handler] in handler.value.next(promise: promise) }
        do {
            return try await promise.futureResult.get()
        } catch {
            throw (error as? StreamError) ?? .cut
        }
    }

    /// Closes the connection at once, so that nobody can take it for an end.
    func abort() { channel.triggerUserOutboundEvent(TLSCommand.abort, promise: nil) }
}
