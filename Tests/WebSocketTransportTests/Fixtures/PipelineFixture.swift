// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing
import WSProtocol
import WebSocketTransport

/// Notes what comes out behind the WebSocket.
final class Recorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var messages: [String] = []
    var events: [WebSocketEvent] = []
    var isInactive = false
    var holdsAfterEach = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        messages.append(String(buffer: Self.unwrapInboundIn(data)))
        if holdsAfterEach { context.triggerUserOutboundEvent(WebSocketCommand.hold, promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? WebSocketEvent else { return }
        #expect(!isInactive, "the connection's end would hide what it was closed with")
        events.append(event)
    }

    func channelInactive(context: ChannelHandlerContext) { isInactive = true }
}

/// Holds what is written while it is shut, as a connection does whose peer does not read.
final class Gate: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    var isShut = false
    var heldBytes = 0
    /// How often it was asked to read.
    var reads = 0
    private var held: [EventLoopPromise<Void>] = []

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isShut else { return context.write(data, promise: promise) }
        heldBytes += Self.unwrapOutboundIn(data).readableBytes
        if let promise { held.append(promise) }
    }

    func read(context: ChannelHandlerContext) {
        reads += 1
        context.read()
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        let held = self.held
        self.held = []
        heldBytes = 0
        for promise in held { promise.fail(ChannelError.ioOnClosedChannel) }
        context.close(mode: mode, promise: promise)
    }
}

/// A WebSocket on a channel in memory.
struct PipelineFixture {
    let channel = EmbeddedChannel()
    let recorder = Recorder()
    let gate = Gate()

    init(role: WebSocketRole = .server) throws {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(gate)
        try WebSocketPipeline.install(on: pipeline, role: role)
        try pipeline.addHandler(recorder)
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 443), promise: nil)
    }

    /// Everything written since the last call, joined.
    func written() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += Array(buffer.readableBytesView) }
        return bytes
    }

    func receive(_ bytes: [UInt8]) throws { try channel.writeInbound(ByteBuffer(bytes: bytes)) }

    func advance(by amount: TimeAmount) { channel.embeddedEventLoop.advanceTime(by: amount) }

    func finish() throws { _ = try channel.finish(acceptAlreadyClosed: true) }

    /// A frame as a client sends it.
    static func clientFrame(_ first: UInt8, _ data: [UInt8], key: [UInt8] = [1, 2, 3, 4]) -> [UInt8] {
        [first, 0x80 | UInt8(data.count)] + key + data.enumerated().map { $1 ^ key[$0 % 4] }
    }
}
