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
    private let pieces = ArrivedPieces()
    private let handler: DownloadHandler

    init() throws {
        channel = EmbeddedChannel(loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let promise = loop.makePromise(of: Void.self)
        ready = promise.futureResult
        handler = DownloadHandler(
            head: HTTPRequestHead(version: .http1_1, method: .GET, uri: "/download"), ready: promise, pieces: pieces
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

    /// As it was set last; nil while it was not.
    private var readsByItself: Bool? {
        channel.options.last { option, _ in option is ChannelOptions.Types.AutoReadOption }?.value as? Bool
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
            let next = next()
            loop.advanceTime(by: Defaults.downloadHandoverDelay)
            #expect(try next.outcome?.get() == [ByteBuffer(string: "some")])
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

    @Test func littleWaitsForMoreAndMuchDoesNot() throws {
        try answer(.ok)
        let first = next()
        try bytes()
        try bytes()
        #expect(first.outcome == nil)
        loop.advanceTime(by: Defaults.downloadHandoverDelay)
        #expect(try first.outcome?.get() == [ByteBuffer(string: "some"), ByteBuffer(string: "some")])
        let second = next()
        loop.advanceTime(by: .seconds(1))
        #expect(second.outcome == nil)
        try channel.writeInbound(
            HTTPClientResponsePart.body(ByteBuffer(repeating: 1, count: Defaults.downloadHandover))
        )
        #expect(try second.outcome?.get()?.count == 1)
    }

    @Test func theEndWaitsForNothing() throws {
        try answer(.ok)
        let first = next()
        try bytes()
        try channel.writeInbound(HTTPClientResponsePart.end(nil))
        #expect(try first.outcome?.get() == [ByteBuffer(string: "some")])
        let end = next()
        #expect(end.outcome != nil)
        #expect(try end.outcome?.get() == nil)
    }

    @Test func aCutComesBehindWhatCameBefore() throws {
        try answer(.ok)
        try bytes()
        channel.pipeline.fireChannelInactive()
        #expect(try next().outcome?.get() == [ByteBuffer(string: "some")])
        #expect(throws: StreamError.cut) { try next().outcome?.get() }
    }

    @Test func whoTakesMoreThanIsAllowedToWaitLetsMoreCome() throws {
        try answer(.ok)
        try channel.writeInbound(
            HTTPClientResponsePart.body(ByteBuffer(repeating: 1, count: Defaults.downloadHighWaterMark))
        )
        #expect(readsByItself == false)
        let taken = pieces.take()
        #expect(taken.pieces.count == 1 && taken.wasFull)
        handler.hasRoom()
        #expect(readsByItself == true)
        try bytes()
        #expect(pieces.take().wasFull == false && pieces.take().pieces.isEmpty)
    }
}
