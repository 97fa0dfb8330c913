// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import RelayClientProgram
@testable import TransferClient

/// One upload on a channel without a socket: nothing is waited for without an end.
struct UploadHandlerTests {
    private let loop = EmbeddedEventLoop()
    private let channel: EmbeddedChannel
    private let ready: EventLoopFuture<Void>
    private let done: EventLoopFuture<UInt64?>
    private let handler: UploadHandler

    init() throws {
        channel = EmbeddedChannel(loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let (ready, done) = (loop.makePromise(of: Void.self), loop.makePromise(of: UInt64?.self))
        (self.ready, self.done) = (ready.futureResult, done.futureResult)
        handler = UploadHandler(
            head: HTTPRequestHead(version: .http1_1, method: .PUT, uri: "/upload"), length: nil, ready: ready,
            done: done
        )
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    private func refuse() throws {
        let head = HTTPResponseHead(
            version: .http1_1, status: .badGateway, headers: ["Content-Length": "1000"]
        )
        try channel.writeInbound(HTTPClientResponsePart.head(head))
    }

    private func expectRefusal() {
        loop.advanceTime(by: Defaults.answerTimeout)
        #expect(throws: StreamError.refused(HTTPResponse(status: 502))) { try done.outcome?.get() }
        #expect(!channel.isActive)
    }

    @Test func anAnswerWithoutItsEndCounts() throws {
        try refuse()
        expectRefusal()
        #expect(throws: StreamError.refused(HTTPResponse(status: 502))) { try ready.outcome?.get() }
    }

    @Test func anAnswerWithoutItsEndCountsWhileTheBodyFlows() throws {
        loop.advanceTime(by: Defaults.continueTimeout)
        try #require(ready.outcome).get()
        try refuse()
        expectRefusal()
    }

    @Test func anAnswerWithoutItsEndCountsWhenTheBodyEndsMeanwhile() throws {
        loop.advanceTime(by: Defaults.continueTimeout)
        try refuse()
        handler.end()
        expectRefusal()
    }

    @Test func noAnswerAtAllIsSilence() throws {
        loop.advanceTime(by: Defaults.continueTimeout)
        handler.end()
        loop.advanceTime(by: Defaults.uploadAnswerTimeout)
        #expect(throws: StreamError.silent) { try done.outcome?.get() }
        #expect(!channel.isActive)
    }

    @Test func aReceiverThatGetsFurtherIsWaitedFor() throws {
        loop.advanceTime(by: Defaults.continueTimeout)
        // Before the end of the body nothing is waited for.
        handler.receiverProgressed()
        loop.advanceTime(by: Defaults.uploadAnswerTimeout)
        handler.end()
        for _ in 0..<5 {
            loop.advanceTime(by: Defaults.uploadAnswerTimeout - .seconds(1))
            handler.receiverProgressed()
        }
        #expect(done.outcome == nil && channel.isActive)
        loop.advanceTime(by: Defaults.uploadAnswerTimeout)
        #expect(throws: StreamError.silent) { try done.outcome?.get() }
        handler.receiverProgressed()
        loop.advanceTime(by: Defaults.uploadAnswerTimeout)
    }
}
