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
            switch (Int(command) + index) % 12 {
            case 0: line.channel.embeddedEventLoop.advanceTime(by: .seconds(Int64(command % 64)))
            case 1: line.channel.triggerUserOutboundEvent(WebSocketCommand.close(code: 1_000), promise: nil)
            case 2: line.channel.triggerUserOutboundEvent(WebSocketCommand.hold, promise: nil)
            case 3, 7: line.channel.read()
            case 4: line.channel.triggerUserOutboundEvent(WebSocketCommand.resume, promise: nil)
            case 5: line.channel.write(ByteBuffer(bytes: bytes), promise: nil)
            case 6, 8: line.setTaking(!line.channel.isWritable)
            case 9: try beat(line, as: role)
            case 10: stall(line, by: Int(command))
            case 11 where command == 0xFF: line.channel.pipeline.fireErrorCaught(ChannelError.inputClosed)
            default: line.channel.triggerUserOutboundEvent(WebSocketCommand.close(code: 5), promise: nil)
            }
        }
        line.channel.embeddedEventLoop.advanceTime(by: .hours(1))
        _ = try? line.channel.finish(acceptAlreadyClosed: true)
        try hold(line.ear.events.count == 1, "\(line.ear.events.count) ends of a connection")
    }

    /// More is to be sent than a peer takes that does not read; or less.
    private static func stall(_ line: Line, by pieces: Int) {
        line.setTaking(false)
        let text = ByteBuffer(repeating: UInt8(ascii: "a"), count: MessageCodec.maximumLength)
        for _ in 0..<(pieces % 16) { line.channel.write(text, promise: nil) }
    }

    /// A ping is due, and a peer answers what stands in it.
    private static func beat(_ line: Line, as role: WebSocketRole) throws {
        _ = try line.written()
        line.channel.embeddedEventLoop.advanceTime(by: .seconds(30))
        let written = try line.written()
        let isMasked = role == .client
        guard written.first == 0x89, written.count >= (isMasked ? 14 : 10), line.channel.isActive else { return }
        let mask = isMasked ? Array(written[2..<6]) : [0, 0, 0, 0]
        let content = zip(written.dropFirst(isMasked ? 6 : 2), mask + mask).map { $0 ^ $1 }
        let head: [UInt8] = role == .server ? [0x8A, 0x88, 0, 0, 0, 0] : [0x8A, 0x08]
        try line.channel.writeInbound(ByteBuffer(bytes: head + content))
    }

    /// One end of a connection in memory.
    private struct Line {
        let channel = EmbeddedChannel()
        let ear = Ear()
        private let dam = Dam()

        init(_ role: WebSocketRole) throws {
            try channel.pipeline.syncOperations.addHandler(dam)
            try WebSocketPipeline.install(on: channel.pipeline.syncOperations, role: role)
            try channel.pipeline.syncOperations.addHandler(ear)
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 443), promise: nil)
        }

        /// Whether the peer takes what is written.
        func setTaking(_ isTaking: Bool) {
            dam.isShut = !isTaking
            channel.isWritable = isTaking
            channel.pipeline.fireChannelWritabilityChanged()
            if isTaking { channel.flush() }
        }

        func written() throws -> [UInt8] {
            var bytes: [UInt8] = []
            while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
            return bytes
        }
    }

    /// Nothing leaves while it is shut: the peer does not read. What has not left when it is closed fails.
    private final class Dam: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        var isShut = false
        private var held: [(data: NIOAny, promise: EventLoopPromise<Void>?)] = []

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            if isShut { held.append((data, promise)) } else { context.write(data, promise: promise) }
        }

        func flush(context: ChannelHandlerContext) {
            guard !isShut else { return }
            for (data, promise) in take() { context.write(data, promise: promise) }
            context.flush()
        }

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            for (_, promise) in take() { promise?.fail(ChannelError.ioOnClosedChannel) }
            context.close(mode: mode, promise: promise)
        }

        private func take() -> [(data: NIOAny, promise: EventLoopPromise<Void>?)] {
            defer { held = [] }
            return held
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
