// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOEmbedded
import WSProtocol

@testable import StreamRelay
@testable import TLSTransport

/// A connection with the one request that it may bring, whatever comes on it and whenever.
enum ConnectionDecoder {
    static let request = FuzzedDecoder(
        "http-connection", longest: 8_000, of: .lines,
        sources: [
            "StreamRelay/HTTP/RequestReader.swift", "StreamRelay/HTTP/LingerHandler.swift",
            "StreamRelay/HTTP/ResponseHead.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        let command = reader.byte()
        let bytes = Array(reader.rest)
        let heard = try Pieces.same(bytes, "what is answered") { pieces in
            let line = try Line(command)
            for piece in pieces where line.channel.isActive { _ = try? line.channel.writeInbound(piece) }
            return try line.ended()
        }
        if let heard { try answers(heard) }
        try live(bytes, command)
    }

    /// An answer is one, and is JSON where it says so.
    private static func answers(_ written: [UInt8]) throws {
        guard !written.isEmpty else { return }
        let text = String(decoding: written, as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n") else { throw Broken(description: "no end of an answer: \(text)") }
        let head = text[..<end.lowerBound].components(separatedBy: "\r\n")
        try hold(head[0].hasPrefix("HTTP/1.1 ") && head.dropFirst().allSatisfy { $0.contains(": ") }, "\(head)")
        try hold(
            head.allSatisfy { $0.utf8.allSatisfy { (0x20...0x7E).contains($0) } }, "a field of other bytes: \(head)")
        let body = Array(text[end.upperBound...].utf8)
        if head.contains("Content-Type: application/json"), !body.isEmpty {
            try hold(head.contains("Content-Length: \(body.count)"), "\(body.count) bytes behind \(head)")
            try hold(StrictJSON.decode([String: String].self, from: body) != nil, "no JSON: \(text)")
        }
    }

    /// The same with what else happens to a connection: time, an end of TLS, a fault, a client that waits.
    private static func live(_ bytes: [UInt8], _ command: UInt8) throws {
        let line = try Line(command)
        for (index, piece) in Pieces.ways(bytes)[2].enumerated() {
            if line.channel.isActive { _ = try? line.channel.writeInbound(piece) }
            switch (Int(command) + index) % 16 {
            case 3: line.channel.embeddedEventLoop.advanceTime(by: .seconds(Int64(command % 16)))
            case 6: line.channel.read()
            case 9 where command & 0x20 != 0: line.channel.pipeline.fireUserInboundEventTriggered(TLSEvent.peerClosed)
            case 11: line.channel.pipeline.fireUserInboundEventTriggered(TLSEvent.truncated)
            case 13 where command & 0x40 != 0: line.channel.pipeline.fireErrorCaught(ChannelError.inputClosed)
            default: break
            }
        }
        _ = try line.ended()
    }

    private struct Line {
        let channel: EmbeddedChannel
        private let responder: Responder

        init(_ command: UInt8) throws {
            responder = Responder(command)
            let late = HTTPError(status: .requestTimeout, code: "request_timeout", message: "too late")
            let patience = RequestReader.Patience(
                .seconds(10), coversAnswer: command & 1 != 0, late: command & 2 == 0 ? nil : late)
            channel = EmbeddedChannel(handler: RequestReader(responder, patience: patience))
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 443), promise: nil)
        }

        /// What was written until the connection is over, which it is in time.
        func ended() throws -> [UInt8] {
            channel.embeddedEventLoop.advanceTime(by: .hours(1))
            responder.decide()
            channel.embeddedEventLoop.advanceTime(by: .hours(1))
            try hold(!channel.isActive, "a connection that stays")
            var bytes: [UInt8] = []
            while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
            _ = try? channel.finish(acceptAlreadyClosed: true)
            try hold(responder.asked <= 1, "\(responder.asked) requests of one connection")
            return bytes
        }
    }

    /// Answers at once, or later, or leaves the connection to another handler.
    private final class Responder: RequestResponder {
        private let command: UInt8
        private(set) var asked = 0
        private var waiting: (RequestHead, RequestReader)?

        init(_ command: UInt8) { self.command = command }

        func refused(_ refusal: HTTPError) {}
        func failed(_ error: any Error, _ reader: RequestReader) {}

        func respond(to head: RequestHead, _ reader: RequestReader) {
            asked += 1
            waiting = (head, reader)
            if command & 4 == 0 { decide() }
        }

        func decide() {
            guard let (head, reader) = waiting else { return }
            waiting = nil
            guard let channel = reader.channel else { return }
            let body = RequestBodyReader(head.framing)
            do throws(HTTPError) {
                _ = try Route(head)
                guard command & 8 == 0 else {
                    reader.replace(with: Closer())
                    channel.close(promise: nil)
                    return
                }
                reader.end(with: ResponseHead.complete(.ok, type: "text/plain", body: "ok\n"), after: body)
            } catch {
                reader.end(with: error, after: command & 16 == 0 ? body : nil, withBody: head.method != "HEAD")
            }
        }
    }

    private final class Closer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
    }
}
