// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import RelayClientProgram
@testable import TransferClient

/// One download on a channel without a socket: nothing is waited for without an end.
struct DownloadHandlerTests {
    private let loop = EmbeddedEventLoop()
    private let channel: EmbeddedChannel
    private let ready: EventLoopFuture<Void>
    private let handler: DownloadHandler

    init() throws {
        channel = EmbeddedChannel(loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let promise = loop.makePromise(of: Void.self)
        ready = promise.futureResult
        handler = DownloadHandler(
            head: HTTPRequestHead(version: .http1_1, method: .GET, uri: "/download"), ready: promise
        )
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    private func answer(_ status: HTTPResponseStatus) throws {
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: ["Content-Length": "1000"])
        try channel.writeInbound(HTTPClientResponsePart.head(head))
    }

    private func bytes() throws {
        try channel.writeInbound(HTTPClientResponsePart.body(ByteBuffer(string: "some")))
    }

    private func next() -> EventLoopFuture<[ByteBuffer]?> {
        let promise = loop.makePromise(of: [ByteBuffer]?.self)
        handler.next(promise: promise)
        return promise.futureResult
    }

    @Test func noAnswerAtAllIsSilence() throws {
        loop.advanceTime(by: Defaults.downloadAnswerTimeout)
        #expect(throws: StreamError.silent) { try ready.outcome?.get() }
        #expect(!channel.isActive)
    }

    @Test func anAnswerWithoutItsEndCounts() throws {
        try answer(.serviceUnavailable)
        loop.advanceTime(by: Defaults.answerTimeout)
        #expect(throws: StreamError.refused(HTTPResponse(status: 503))) { try ready.outcome?.get() }
        #expect(!channel.isActive)
    }

    @Test func aBodyThatStopsIsSilenceButNotWhileItComes() throws {
        try answer(.ok)
        try #require(ready.outcome).get()
        for _ in 0..<10 {
            loop.advanceTime(by: Defaults.downloadSilence - .seconds(1))
            try bytes()
            #expect(try next().outcome?.get() == [ByteBuffer(string: "some")])
        }
        let last = next()
        loop.advanceTime(by: Defaults.downloadSilence - .seconds(1))
        #expect(channel.isActive)
        loop.advanceTime(by: .seconds(1))
        #expect(throws: StreamError.silent) { try last.outcome?.get() }
        #expect(!channel.isActive)
    }

    @Test func aDownloadThatIsPausedIsNotSilent() throws {
        try answer(.ok)
        for _ in 0..<(Defaults.downloadHighWaterMark / 65_536) {
            try channel.writeInbound(HTTPClientResponsePart.body(ByteBuffer(repeating: 1, count: 65_536)))
        }
        loop.advanceTime(by: .hours(1))
        #expect(channel.isActive)
        // From when it is asked for more again, it has its time.
        _ = try next().outcome?.get()
        loop.advanceTime(by: Defaults.downloadSilence - .seconds(1))
        #expect(channel.isActive)
        let last = next()
        loop.advanceTime(by: Defaults.downloadSilence)
        #expect(throws: StreamError.silent) { try last.outcome?.get() }
    }
}
