// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import RelayTestFixtures
import ServerSystem
import Testing
import TransferBroker
import WSProtocol

@testable import StreamRelay

/// What a stream costs, and how it is counted.
@Suite struct PipeTests {
    private let stream = EmbeddedStream()

    /// A sender chooses how small its chunks are; the relay's work and memory must not be a multiple of what it sends.
    @Test(arguments: [1, 2, 100, 4095]) func smallChunksAreGathered(size: Int) throws {
        let (download, pipe) = try stream.parked()
        let upload = try stream.upload(into: pipe)
        _ = try EmbeddedStream.writes(download)
        let chunk = String(size, radix: 16) + "\r\n" + String(repeating: "x", count: size) + "\r\n"
        let read = ByteBuffer(string: String(repeating: chunk, count: 65_536 / chunk.utf8.count))
        let rounds = 16
        var written: [ByteBuffer] = []
        for _ in 0..<rounds {
            try upload.writeInbound(read)
            written += try EmbeddedStream.writes(download)
        }
        try upload.writeInbound(ByteBuffer(string: "0\r\n\r\n"))
        // The end waits until the one before is written.
        written += try EmbeddedStream.writes(download)
        #expect(written.count <= rounds * (65_536 / Defaults.Stream.gatherBytes * 2 + 1) + 1)
        #expect(written.reduce(0) { $0 + $1.readableBytes } <= rounds * read.readableBytes + 5)
        var body = ByteBuffer()
        var reader = RequestBodyReader(.chunked)
        var content = 0
        for var piece in written { body.writeBuffer(&piece) }
        while case .content(let piece) = reader.next(&body) { content += piece.readableBytes }
        #expect(reader.isComplete)
        #expect(content == rounds * size * (65_536 / chunk.utf8.count))
    }

    @Test func largeContentIsPassedOnAsItComes() throws {
        let (download, pipe) = try stream.parked()
        let upload = try stream.upload(into: pipe, length: 1_000_000)
        _ = try EmbeddedStream.writes(download)
        let read = ByteBuffer(repeating: 7, count: 65_536)
        try upload.writeInbound(read)
        #expect(try EmbeddedStream.writes(download) == [read])
        let small = ByteBuffer(repeating: 7, count: 10)
        try upload.writeInbound(small)
        #expect(try EmbeddedStream.writes(download) == [small])
    }

    @Test func muchContentLeavesBeforeTheReadEndsAndLittleContentWithIt() throws {
        let (download, pipe) = try stream.parked()
        let upload = try stream.upload(into: pipe, length: 1_000_000)
        _ = try EmbeddedStream.writes(download)
        let half = ByteBuffer(repeating: 7, count: Defaults.Stream.flushBytes / 2)
        upload.pipeline.fireChannelRead(half)
        #expect(try EmbeddedStream.writes(download) == [])
        upload.pipeline.fireChannelRead(half)
        #expect(try EmbeddedStream.writes(download) == [half, half])
        upload.pipeline.fireChannelRead(half)
        #expect(try EmbeddedStream.writes(download) == [])
        upload.pipeline.fireChannelReadComplete()
        #expect(try EmbeddedStream.writes(download) == [half])
    }

    @Test func aReceiverHasProvedItselfOnceAndNotTooEarly() throws {
        let sink = CountingSink()
        let pipe = Pipe(stream.key, to: sink, loop: stream.loop, services: stream.services)
        pipe.park()
        let upload = try stream.upload(into: pipe, length: 100_000_000)
        let read = ByteBuffer(repeating: 7, count: SystemDefaults.receiveBytes)
        let reads = Int(Defaults.Stream.provenBytes) / read.readableBytes
        for _ in 1..<reads { upload.pipeline.fireChannelRead(read) }
        #expect(pipe.receiveBuffer().capacity > 0)
        #expect(sink.proofs == 0)
        upload.pipeline.fireChannelRead(read)
        for _ in 1...3 { #expect(pipe.receiveBuffer().capacity > 0) }
        #expect(sink.proofs == 1)
        // What the kernel could not take has to leave before there is a large read again.
        #expect(pipe.receiveBuffer().writableBytes > SystemDefaults.receiveBytes)
        sink.unsentBytes = 1
        #expect(pipe.receiveBuffer().writableBytes == SystemDefaults.receiveBytes)
        pipe.abort(.cancelled)
    }

    @Test func aStreamIsCountedOnceItIsJoined() throws {
        let (_, pipe) = try stream.parked()
        pipe.abort(.cancelled)
        _ = try stream.upload(into: pipe)
        #expect(stream.services.streams.counts == StreamCounts())
        let (_, next) = try stream.parked()
        _ = try stream.upload(into: next)
        #expect(stream.services.streams.counts == StreamCounts(toReceivers: 1, toNodes: 0))
    }

    /// Everything happens within one call here: the sender begins, its body is taken in, the end is written.
    @Test(arguments: [nil, 5]) func aBodyThatCameWithItsHeadIsJoinedBeforeItIsFinished(length: Int?) throws {
        let (download, pipe) = try stream.parked()
        let upload = try stream.upload(
            into: pipe, length: length, body: length == nil ? "5\r\nhello\r\n0\r\n\r\n" : "hello")
        let events = stream.transfers.events(of: stream.key.transfer)
        #expect(events == [.downloadParked, .joined, .finished(bytes: 5)])
        #expect(stream.services.streams.counts == StreamCounts(toReceivers: 1, toNodes: 0))
        #expect(stream.services.streams.count == 0)
        let body = try EmbeddedStream.writes(download).map { String(buffer: $0) }.joined()
        #expect(body.hasSuffix(length == nil ? "5\r\nhello\r\n0\r\n\r\n" : "\r\n\r\nhello"))
        #expect(try EmbeddedStream.writes(upload).map { String(buffer: $0) }.joined().hasSuffix("{\"bytes\":5}\n"))
    }

    /// The framing of what came with the head is broken: the same, with another end.
    @Test func aBrokenBodyThatCameWithItsHeadIsJoinedBeforeItIsCut() throws {
        let (_, pipe) = try stream.parked()
        _ = try stream.upload(into: pipe, body: "5\r\nhello, world")
        let events = stream.transfers.events(of: stream.key.transfer)
        #expect(events == [.downloadParked, .joined, .cut(.malformedBody, bytes: 5)])
    }

    /// What was read of a lost sender's leaves before the cut, unless the receiver takes nothing.
    @Test(arguments: [false, true]) func whatWasReadLeavesBeforeTheCut(isTaken: Bool) throws {
        let (download, pipe) = try stream.parked()
        let upload = try stream.upload(into: pipe, length: 100)
        let network = HeldWrites()
        try download.pipeline.syncOperations.addHandler(network, position: .first)
        try upload.writeInbound(ByteBuffer(string: "hello"))
        pipe.uploadCut(.senderGone)
        #expect(download.isActive)
        if isTaken {
            network.release()
        } else {
            stream.loop.advanceTime(by: Defaults.Stream.cutTimeout - .milliseconds(1))
            #expect(download.isActive)
            stream.loop.advanceTime(by: .milliseconds(1))
        }
        #expect(!download.isActive)
        let body = try EmbeddedStream.writes(download).map { String(buffer: $0) }.joined()
        #expect(body.hasSuffix("hello") == isTaken)
    }

    @Test func aStreamThatIsStoppedIsCutAtOnce() throws {
        let (download, pipe) = try stream.parked()
        _ = try stream.upload(into: pipe, length: 100)
        try download.pipeline.syncOperations.addHandler(HeldWrites(), position: .first)
        pipe.abort(.draining)
        #expect(!download.isActive)
    }

    @Test func theEndOfAStreamIsNotThatOfItsSuccessor() throws {
        let (_, first) = try stream.parked()
        let (_, second) = try stream.parked()
        first.abort(.cancelled)
        #expect(stream.services.streams.count == 1)
        second.abort(.cancelled)
        #expect(stream.services.streams.count == 0)
    }
}

/// A network that takes nothing until it is told to.
private final class HeldWrites: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private var held: [(NIOAny, EventLoopPromise<Void>?)] = []
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        for (_, promise) in held { promise?.fail(ChannelError.ioOnClosedChannel) }
        held = []
    }
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        held.append((data, promise))
    }
    func flush(context: ChannelHandlerContext) {}

    func release() {
        let writes = held
        held = []
        for (data, promise) in writes { context?.writeAndFlush(data, promise: promise) }
    }
}

/// A sink that takes everything.
private final class CountingSink: StreamSink {
    var proofs = 0

    var isWritable: Bool { true }
    var receiverState: StreamMachine.ReceiverState? { nil }
    var sendBuffer: ReadWindow.SendBuffer? { .init(size: 5_000_000, queued: 0) }
    var unsentBytes = 0
    func peerIsConsuming() { proofs += 1 }
    func start(length: UInt64?) {}
    func write(_ content: ByteBuffer) {}
    func flush() {}
    func finish() {}
    func close() {}
    func cut(_ code: FailureCode) {}
    func refuse(_ code: FailureCode) {}
}
