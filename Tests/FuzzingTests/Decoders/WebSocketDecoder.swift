// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import WSProtocol
import WebSocketTransport

/// WebSocket: frames, and what is made of them.
enum WebSocketDecoder {
    static let frames = FuzzedDecoder(
        "websocket", longest: 8_000,
        sources: [
            "WSProtocol/WebSocket/WebSocketFrameHead.swift", "WSProtocol/WebSocket/WebSocketRules.swift",
            "WSProtocol/WebSocket/WebSocketViolation.swift", "WSProtocol/Fields/UTF8Validator.swift",
            "WebSocketTransport/WebSocketHandler.swift",
        ]
    ) { input in
        var commands = InputReader(input)
        let command = commands.byte()
        for role in [WebSocketRole.server, .client] {
            let heard = try Pieces.same(Array(commands.rest), "a \(role)'s frames") { pieces in
                try hear(pieces, as: role)
            }
            for message in heard?.messages ?? [] {
                try hold(String(validating: message, as: UTF8.self) != nil, "a message that is not UTF-8")
                try hold(message.count <= MessageCodec.maximumLength, "a message of \(message.count) bytes")
                try passes(message, from: role == .server ? .client : .server, to: role)
            }
            try live(Array(commands.rest), as: role, command)
        }
    }

    private struct Heard: Equatable {
        var messages: [[UInt8]] = []
        var events: [WebSocketEvent] = []
        var written: [UInt8] = []
    }

    private static func hear(_ pieces: [ByteBuffer], as role: WebSocketRole) throws -> Heard {
        let line = try Line(role)
        for piece in pieces { try line.channel.writeInbound(piece) }
        // What a client writes is masked with random numbers.
        let written = role == .server ? try line.written() : []
        let heard = Heard(messages: line.ear.messages, events: line.ear.events, written: written)
        _ = try? line.channel.finish(acceptAlreadyClosed: true)
        try hold(line.ear.events.count == 1, "\(line.ear.events.count) ends of a connection")
        return heard
    }

    /// A message arrives as it was sent.
    private static func passes(_ message: [UInt8], from sender: WebSocketRole, to receiver: WebSocketRole) throws {
        let (near, far) = (try Line(sender), try Line(receiver))
        try near.channel.writeOutbound(ByteBuffer(bytes: message))
        try far.channel.writeInbound(ByteBuffer(bytes: near.written()))
        try hold(far.ear.messages == [message], "\(message) arrives as \(far.ear.messages)")
        for line in [near, far] { _ = try? line.channel.finish(acceptAlreadyClosed: true) }
    }

    /// A connection with all else that happens to one: time, a side that closes, one that holds, one that is cut.
    private static func live(_ bytes: [UInt8], as role: WebSocketRole, _ command: UInt8) throws {
        let line = try Line(role)
        let pieces = Pieces.ways(bytes)[2]
        for (index, piece) in pieces.enumerated() {
            if line.channel.isActive { try line.channel.writeInbound(piece) }
            switch (Int(command) + index) % 9 {
            case 0: line.channel.embeddedEventLoop.advanceTime(by: .seconds(Int64(command % 64)))
            case 1: line.channel.triggerUserOutboundEvent(WebSocketCommand.close(code: 1_000), promise: nil)
            case 2: line.channel.triggerUserOutboundEvent(WebSocketCommand.hold, promise: nil)
            case 3: line.channel.triggerUserOutboundEvent(WebSocketCommand.resume, promise: nil)
            case 4: line.channel.write(ByteBuffer(bytes: bytes), promise: nil)
            case 5: line.channel.isWritable.toggle()
            case 6: line.channel.read()
            case 7: line.channel.triggerUserOutboundEvent(WebSocketCommand.close(code: 5), promise: nil)
            default: line.channel.pipeline.fireChannelWritabilityChanged()
            }
        }
        line.channel.embeddedEventLoop.advanceTime(by: .hours(1))
        _ = try? line.channel.finish(acceptAlreadyClosed: true)
        try hold(line.ear.events.count == 1, "\(line.ear.events.count) ends of a connection")
    }

    /// One end of a connection in memory.
    private struct Line {
        let channel = EmbeddedChannel()
        let ear = Ear()

        init(_ role: WebSocketRole) throws {
            try WebSocketPipeline.install(on: channel.pipeline.syncOperations, role: role)
            try channel.pipeline.syncOperations.addHandler(ear)
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 443), promise: nil)
        }

        func written() throws -> [UInt8] {
            var bytes: [UInt8] = []
            while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
            return bytes
        }
    }

    private final class Ear: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private(set) var messages: [[UInt8]] = []
        private(set) var events: [WebSocketEvent] = []

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            messages.append(Array(Self.unwrapInboundIn(data).readableBytesView))
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if let event = event as? WebSocketEvent { events.append(event) }
        }
    }
}
