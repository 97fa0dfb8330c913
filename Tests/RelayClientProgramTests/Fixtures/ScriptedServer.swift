// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization
import TLSTransport
import WSProtocol
import WebSocketTransport

@testable import RelayClientProgram
@testable import TransferClient

/// A server on a port of its own, on real sockets, that goes through a list of steps on each connection: a relay, a
/// proxy, or something that is neither.
final class ScriptedServer: Sendable {
    enum Step: Sendable {
        /// TLS begins.
        case tls
        /// Waits until so much has been said, and keeps it.
        case read(until: String)
        case readBytes(until: [UInt8])
        /// Says this.
        case say(String)
        case sayBytes([UInt8])
        /// Answers the request that was read last with an upgrade; from then on each thing that is said or read is a
        /// message.
        case webSocket
        /// Ends the connection as a server does that has said all.
        case close
        /// Ends it in the middle.
        case cut
    }

    /// What the client has said, and the connections that it said it on.
    fileprivate final class Record: Sendable {
        let state = Mutex((heard: [String](), channels: [any Channel](), ended: 0))
    }

    private let listener: any Channel
    private let record = Record()

    /// - Parameters:
    ///   - tls: what TLS is begun with.
    ///   - script: the steps on the connection of that number, from 1; behind the last one nothing more is said.
    init(_ tls: TLSContext? = nil, _ script: @escaping @Sendable (Int) -> [Step]) async throws {
        listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [record] channel in
                let number = record.state.withLock { state in
                    state.channels.append(channel)
                    return state.channels.count
                }
                channel.closeFuture.whenComplete { _ in record.state.withLock { $0.ended += 1 } }
                return channel.eventLoop.makeCompletedFuture {
                    let handler = ScriptHandler(script(number)[...], tls, record)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    deinit {
        listener.close(promise: nil)
        for channel in record.state.withLock({ $0.channels }) { channel.close(promise: nil) }
    }

    var port: Int { listener.localAddress?.port ?? 0 }
    var endpoint: Endpoint { Endpoint(host: "127.0.0.1", port: port) }
    /// What the client has said up to the end of each `read`.
    var heard: [String] { record.state.withLock { $0.heard } }
    /// How many connections there were.
    var connections: Int { record.state.withLock { $0.channels.count } }
    /// How many of them have ended.
    var ended: Int { record.state.withLock { $0.ended } }
    var relay: RelayURL { get throws { try RelayURL("https://127.0.0.1:\(port)") } }
}

/// Goes through the steps on one connection. What has to stand before TLS or a WebSocket stays, and passes on what
/// comes.
private final class ScriptHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var steps: ArraySlice<ScriptedServer.Step>
    private let tls: TLSContext?
    private let record: ScriptedServer.Record
    private var unread = ByteBuffer()
    /// Whether another handler behind this one has gone on with the steps.
    private var isPassed = false

    init(_ steps: ArraySlice<ScriptedServer.Step>, _ tls: TLSContext?, _ record: ScriptedServer.Record) {
        self.steps = steps
        self.tls = tls
        self.record = record
    }

    func handlerAdded(context: ChannelHandlerContext) { go(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isPassed else { return context.fireChannelRead(data) }
        unread.writeImmutableBuffer(Self.unwrapInboundIn(data))
        go(context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func go(_ context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        while !isPassed, let step = steps.first {
            switch step {
            case .read(let end): guard hears(Array(end.utf8)) else { return }
            case .readBytes(let end): guard hears(end) else { return }
            case .say(let text): context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
            case .sayBytes(let bytes):
                context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
            case .close: context.close(promise: nil)
            case .cut: context.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
            case .tls, .webSocket:
                isPassed = true
                do {
                    if case .tls = step, let tls { try pipeline.addHandler(TLSHandler(server: tls)) }
                    if case .webSocket = step {
                        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: upgrade)), promise: nil)
                        try WebSocketPipeline.install(on: pipeline, role: .server)
                    }
                    try pipeline.addHandler(ScriptHandler(steps.dropFirst(), tls, record))
                } catch {
                    context.close(promise: nil)
                }
                if unread.readableBytes > 0 { context.fireChannelRead(Self.wrapInboundOut(unread)) }
            }
            steps.removeFirst()
        }
    }

    /// Whether what ends with `end` has come, which then is kept.
    private func hears(_ end: [UInt8]) -> Bool {
        let bytes = unread.readableBytesView
        guard let range = bytes.firstRange(of: end) else { return false }
        let read = unread.readBytes(length: range.upperBound - bytes.startIndex) ?? []
        record.state.withLock { $0.heard.append(String(decoding: read, as: UTF8.self)) }
        return true
    }

    /// The answer to the upgrade that was read last.
    private var upgrade: String {
        let head = record.state.withLock { $0.heard.last ?? "" }
        let key = head.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") }?.dropFirst(19) ?? ""
        return Scripts.upgrade(accept: WebSocketKey(String(key))?.accept ?? "")
    }
}

@available(*, unavailable)
extension ScriptHandler: Sendable {}
