// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import TLSTransport
import TransferClient
import WSProtocol
import WebSocketTransport

@testable import RelayClientProgram

/// What a relay answers to the connections of a client: a download, an upload, and the one with messages.
enum ClientStreamDecoder {
    static let answers = FuzzedDecoder(
        "client-streams", longest: 6_000, of: .lines,
        sources: [
            "RelayClientProgram/Connect/ControlConnection.swift#ControlMessageHandler",
            "RelayClientProgram/Connect/ControlConnection.swift#ControlUpgrader",
            "RelayClientProgram/Connect/ControlConnection.swift#ControlUpgrade",
            "RelayClientProgram/Connect/DownloadStream.swift#ArrivedPieces",
            "RelayClientProgram/Connect/DownloadStream.swift#DownloadHandler",
            "RelayClientProgram/Connect/UnansweredMessages.swift",
            "RelayClientProgram/Connect/UploadStream.swift#UploadHandler",
            "RelayClientProgram/Connect/UploadStream.swift#UploadExchange",
            "RelayClientProgram/Connect/UploadStream.swift#StreamError",
        ]
    ) { input in
        var reader = InputReader(input)
        let choice = reader.byte()
        let bytes = Array(reader.rest)
        func heard(_ what: String, _ read: ([ByteBuffer], _ disturbance: UInt8?) throws -> Heard) throws {
            _ = try Pieces.same(bytes, what) { try read($0, nil) }
            _ = try read(Pieces.ways(bytes)[2], choice)
        }
        switch choice % 4 {
        case 0: try heard("a download") { try download($0, disturbed: $1, choice) }
        case 1: try heard("an upload") { try upload($0, disturbed: $1, choice) }
        default: try heard("a control connection") { try control($0, disturbed: $1, choice) }
        }
    }

    /// What a client has of a connection in the end.
    private struct Heard: Equatable {
        var ready: String?
        var content: [UInt8] = []
        var end: String?
    }

    private static let relay = Result { try RelayURL("https://relay.example.com") }
    private static let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")

    private static func connected() throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 443), promise: nil)
        return channel
    }

    /// Brings the pieces, with what else happens to a connection between them, and its end.
    private static func bring(
        _ pieces: [ByteBuffer], to channel: EmbeddedChannel, disturbed: UInt8?, _ act: (Int) -> Void = { _ in }
    ) {
        let loop = channel.embeddedEventLoop
        func setWritable(_ isWritable: Bool) {
            channel.isWritable = isWritable
            channel.pipeline.fireChannelWritabilityChanged()
        }
        for (index, piece) in pieces.enumerated() where channel.isActive {
            _ = try? channel.writeInbound(piece)
            loop.run()
            guard let disturbed else { continue }
            let turn = Int(disturbed >> 2) + index
            switch turn % 16 {
            case 1: loop.advanceTime(by: .milliseconds(5))
            case 4: loop.advanceTime(by: .seconds(Int64(disturbed)))
            case 9 where disturbed & 0x40 != 0: channel.pipeline.fireErrorCaught(ChannelError.inputClosed)
            case 12 where disturbed & 0x80 != 0: channel.pipeline.fireUserInboundEventTriggered(TLSEvent.truncated)
            case 14: setWritable(!channel.isWritable)
            default: act(turn)
            }
        }
        if !channel.isWritable { setWritable(true) }
        if disturbed != nil { loop.advanceTime(by: .hours(1)) }
        _ = try? channel.finish(acceptAlreadyClosed: true)
        loop.run()
    }

    private static func said(_ error: any Error) -> String {
        // What stands behind a head that is cut, and why a connection went wrong, depends on the pieces.
        (error as? StreamError).map { "\($0)" } ?? "no reason of a stream: \(error)"
    }

    // MARK: - A download

    /// Takes what comes, whenever it is asked to.
    private final class Consumer {
        let handler: DownloadHandler
        private let loop: EmbeddedEventLoop
        private(set) var content: [UInt8] = []
        private(set) var end: String?
        private var isWaiting = false

        init(_ handler: DownloadHandler, _ loop: EmbeddedEventLoop) { (self.handler, self.loop) = (handler, loop) }

        func ask() {
            guard !isWaiting, end == nil else { return }
            isWaiting = true
            let promise = loop.makePromise(of: [ByteBuffer]?.self)
            promise.futureResult.assumeIsolated().whenComplete { [self] result in
                isWaiting = false
                switch result {
                case .success(let pieces?): for piece in pieces { content += piece.readableBytesView }
                case .success(nil): end = "whole"
                case .failure(let error): end = said(error)
                }
            }
            handler.next(promise: promise)
        }
    }

    private static func download(_ pieces: [ByteBuffer], disturbed: UInt8?, _ choice: UInt8) throws -> Heard {
        let channel = try connected()
        try HTTPCoding.install(on: channel.pipeline.syncOperations)
        let ready = channel.eventLoop.makePromise(of: Void.self)
        let arrived = ArrivedPieces()
        let handler = DownloadHandler(head: head, ready: ready, pieces: arrived)
        let consumer = Consumer(handler, channel.embeddedEventLoop)
        var heard = Heard()
        let isReady = observed(ready.futureResult)
        try channel.pipeline.syncOperations.addHandler(handler)
        if choice & 0x10 != 0 { consumer.ask() }
        bring(pieces, to: channel, disturbed: disturbed) { turn in
            switch turn % 4 {
            case 0: consumer.ask()
            case 1:
                // A second one while the first waits is refused.
                let other = channel.eventLoop.makePromise(of: [ByteBuffer]?.self)
                other.futureResult.whenComplete { _ in }
                if turn % 8 == 1 { consumer.ask() }
                handler.next(promise: other)
            case 2: handler.hasRoom()
            default: break
            }
        }
        // What is there, and the end.
        for _ in 0..<3 { consumer.ask() }
        channel.embeddedEventLoop.advanceTime(by: .hours(1))
        for _ in 0..<3 { consumer.ask() }
        (heard.ready, heard.content, heard.end) = (isReady.value, consumer.content, consumer.end)
        try hold(heard.ready != nil && (heard.end != nil || disturbed != nil), "a download without an end: \(heard)")
        try hold(heard.content.isEmpty || heard.ready == "()", "content of an answer that is none: \(heard)")
        let sent = pieces.reduce(0) { $0 + $1.readableBytes }
        try hold(heard.content.count <= sent, "\(heard.content.count) bytes of \(sent)")
        return heard
    }

    // MARK: - An upload

    private static func upload(_ pieces: [ByteBuffer], disturbed: UInt8?, _ choice: UInt8) throws -> Heard {
        let channel = try connected()
        try HTTPCoding.install(on: channel.pipeline.syncOperations, forwardsInformational: true)
        let (ready, done) = (
            channel.eventLoop.makePromise(of: Void.self), channel.eventLoop.makePromise(of: UInt64?.self)
        )
        let length: UInt64? = choice & 0x10 == 0 ? nil : 4
        let handler = UploadHandler(head: head, length: length, ready: ready, done: done)
        let (isReady, end) = (observed(ready.futureResult), observed(done.futureResult))
        var writes: [Observed] = []
        func write(_ count: Int) {
            let promise = channel.eventLoop.makePromise(of: Void.self)
            writes.append(observed(promise.futureResult))
            handler.write(ByteBuffer(repeating: 7, count: count), promise: promise)
        }
        if choice & 0x20 != 0 {
            ready.futureResult.assumeIsolated().whenSuccess {
                write(4)
                if choice & 8 != 0 { handler.end() }
            }
        }
        try channel.pipeline.syncOperations.addHandler(handler)
        bring(pieces, to: channel, disturbed: disturbed) { turn in
            switch turn % 5 {
            case 0: write(turn % 3)
            case 1: handler.end()
            case 2: handler.receiverProgressed()
            case 3: write(8)
            default: break
            }
        }
        write(1)
        handler.end()
        let heard = Heard(ready: isReady.value, end: end.value)
        try hold(heard.ready != nil && heard.end != nil, "an upload without an end: \(heard)")
        try hold(writes.allSatisfy { $0.value != nil }, "a write without an end")
        let wasWhole = length == nil || choice & 0x20 != 0 || disturbed != nil
        try hold(heard.end?.hasPrefix("Optional") != true && heard.end != "nil" || wasWhole, "\(heard) of no body")
        return heard
    }

    // MARK: - The control connection

    private static func control(_ pieces: [ByteBuffer], disturbed: UInt8?, _ choice: UInt8) throws -> Heard {
        guard let key = WebSocketKey("dGhlIHNhbXBsZSBub25jZQ==") else { throw Broken(description: "no key") }
        let (channel, relay, unanswered) = (try connected(), try relay.get(), UnansweredMessages())
        let (messages, queue) = ControlMessageHandler.Messages.makeStream(
            bufferingPolicy: .bufferingOldest(choice & 0x10 == 0 ? 1_000 : 2))
        let (ends, isAnswered) = (Lines(), Lines())
        queue.onTermination = { ends.add("\($0)") }
        if case .success(let message) = MessageCodec.decodeClientMessage(
            ByteBuffer(
                string: #"{"code":"cancelled","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","type":"cancel"}"#))
        {
            unanswered.said(message)
        }
        unanswered.whenAnswered { isAnswered.add("") }
        let upgrade = try ControlUpgrade.start(on: channel, of: relay, key: key) {
            ControlMessageHandler(queue: queue, unanswered: unanswered, relay: relay)
        }
        var heard = Heard()
        upgrade.assumeIsolated().whenComplete { result in
            switch result {
            case .success(.done): heard.ready = "done"
            case .success(.refused(let answer)):
                heard.ready = "refused"
                answer.assumeIsolated().whenComplete { answer in
                    if case .success(let answer) = answer { heard.end = "\(answer)" } else { heard.end = "cut" }
                }
            case .failure: heard.ready = "over"
            }
        }
        channel.embeddedEventLoop.run()
        bring(pieces, to: channel, disturbed: disturbed) { turn in
            if heard.ready == "done", turn.isMultiple(of: 5) {
                let message = ByteBuffer(string: "{}")
                channel.writeAndFlush(message, promise: nil)
            }
        }
        try hold(heard.ready != nil, "an upgrade without an answer")
        if heard.ready == "refused" {
            try hold(ends.all.isEmpty && heard.end != nil, "a refusal without an end")
        } else if heard.ready == "done" || !ends.all.isEmpty {
            // What stands right behind the answer may end the connection before the upgrade is told.
            heard.ready = "done"
            try hold(ends.all.count == 1, "\(ends.all.count) ends of a connection")
            try hold(isAnswered.all.count == 1, "\(isAnswered.all.count) answers of one")
            heard.end = ends.all.first
        }
        withExtendedLifetime(messages) {}
        return heard
    }

    // MARK: -

    /// What became of a promise, in words.
    private final class Observed {
        fileprivate(set) var value: String?
    }

    private static func observed<Value>(_ future: EventLoopFuture<Value>) -> Observed {
        let observed = Observed()
        future.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let value): observed.value = "\(value)"
            case .failure(let error): observed.value = said(error)
            }
        }
        return observed
    }

    /// Lines that are told on any thread.
    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])

        var all: [String] { lines.withLock { $0 } }

        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }
}
