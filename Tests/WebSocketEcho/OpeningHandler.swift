// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol
import WebSocketTransport

/// One end of the opening handshake (RFC 6455, section 4), as far as a test needs it; then an ``EchoHandler`` behind
/// the WebSocket that both programs use, with the limits that they set.
final class OpeningHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Role {
        case server
        /// `heard` gets everything that was said, at the end.
        case client(target: String, _ heard: EventLoopPromise<[ByteBuffer]>)
    }

    private let role: Role
    private var received = ByteBuffer()
    private var isOpen = false

    init(_ role: Role) { self.role = role }

    func channelActive(context: ChannelHandlerContext) {
        guard case .client(let target, _) = role else { return }
        say(
            "GET \(target) HTTP/1.1", "Host: 127.0.0.1:\(context.remoteAddress?.port ?? 0)", "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==", to: context
        )
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(Self.unwrapInboundIn(data))
        let bytes = received.readableBytesView
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound else { return }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
        received.moveReaderIndex(forwardBy: end - bytes.startIndex)
        do {
            try open(lines, context)
        } catch {
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        // The WebSocket may end within the call that hands it what came with the head.
        if !isOpen, case .client(_, let heard) = role { heard.succeed([]) }
        context.fireChannelInactive()
    }

    private func open(_ lines: [Substring], _ context: ChannelHandlerContext) throws {
        let pipeline = context.pipeline.syncOperations
        switch role {
        case .server:
            let key = lines.first { $0.lowercased().hasPrefix("sec-websocket-key:") }?.split(separator: " ").last
            guard let key = key.flatMap({ WebSocketKey(String($0)) }) else {
                throw ChannelError.inappropriateOperationForState
            }
            say(
                "HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket",
                "Sec-WebSocket-Accept: \(key.accept)", to: context
            )
            // As the relay does.
            let limits = WebSocketLimits(pendingBytes: 8 * 1024 * 1024)
            try WebSocketPipeline.install(on: pipeline, role: .server, limits: limits)
            try pipeline.addHandler(EchoHandler(nil))
        case .client(let target, let heard):
            guard lines.first?.hasPrefix("HTTP/1.1 101 ") == true else {
                throw ChannelError.inappropriateOperationForState
            }
            try WebSocketPipeline.install(on: pipeline, role: .client)
            try pipeline.addHandler(EchoHandler(heard, isSilent: !target.hasPrefix("/runCase")))
        }
        isOpen = true
        context.fireChannelRead(NIOAny(received))
        context.fireChannelReadComplete()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func say(_ lines: String..., to context: ChannelHandlerContext) {
        let head = (lines + ["", ""]).joined(separator: "\r\n")
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: head)), promise: nil)
    }
}

@available(*, unavailable)
extension OpeningHandler: Sendable {}
