// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import TestSupport

@testable import TLSTransport

/// TLS: what comes instead of it, and records of a real connection that are damaged on their way. The library is not of
/// this package; what is around it is.
enum TLSDecoder {
    static let records = FuzzedDecoder(
        "tls", longest: 3_000,
        sources: [
            "TLSTransport/Bytes/ByteBIO.swift", "TLSTransport/Handler/TLSInbound.swift",
            "TLSTransport/Tickets/TicketSealing.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        let choice = reader.byte()
        let turn = reader.byte()
        let damage = choice & 1 == 0 ? nil : Damage(&reader)
        let rest = Array(reader.rest)
        guard choice & 2 == 0 else { return try stranger(rest, isServer: choice & 4 == 0) }
        let line = try Line(world.get())
        try line.talk(rest, damage, at: Int(turn % 12), drip: choice & 8 == 0 ? nil : 1 + Int(turn))
    }

    /// Contexts on certificates that are made once. Sessions are kept from one input to the next: most of them resume
    /// one, with a ticket.
    private struct World {
        let server: TLSContext
        let client: TLSContext
        /// Their folder goes with them.
        let certificates: TestCertificates

        init() throws {
            certificates = try TestCertificates(names: ["localhost"])
            server = try .server(
                certificateChain: certificates.server, privateKey: certificates.serverKey,
                applicationProtocols: ["http/1.1"])
            client = try .client(trust: .file(certificates.ca), applicationProtocols: ["http/1.1"])
        }
    }

    private static let world = Result { try World() }

    /// Bytes of someone who does not speak TLS, or not well.
    private static func stranger(_ bytes: [UInt8], isServer: Bool) throws {
        _ = try Pieces.same(bytes, "what a stranger says") { pieces in
            let world = try world.get()
            let handler =
                isServer
                ? TLSHandler(server: world.server)
                : TLSHandler(client: world.client, serverName: TLSServerName(host: "localhost"))
            let end = try End(handler, on: EmbeddedEventLoop())
            for piece in pieces where end.channel.isActive { _ = try? end.channel.writeInbound(piece) }
            _ = try? end.channel.finish(acceptAlreadyClosed: true)
            try hold(end.ear.bytes.isEmpty, "something was read without a handshake")
            return end.ear.codes.first
        }
    }

    /// Keeps what comes out of a handler.
    private final class Ear: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private(set) var bytes: [UInt8] = []
        private(set) var codes: [TLSError.Code] = []
        private(set) var isOpen = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes += Self.unwrapInboundIn(data).readableBytesView
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .handshakeCompleted? = event as? TLSEvent { isOpen = true }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            if let error = error as? TLSError { codes.append(error.code) }
        }
    }

    /// One end of a connection in memory.
    private struct End {
        let channel: EmbeddedChannel
        let ear = Ear()

        init(_ handler: TLSHandler, on loop: EmbeddedEventLoop) throws {
            channel = EmbeddedChannel(handlers: [handler, ear], loop: loop)
            channel.connect(to: try SocketAddress(unixDomainSocketPath: "/none"), promise: nil)
        }
    }

    /// A client and a server, joined in memory.
    private struct Line {
        private let loop = EmbeddedEventLoop()
        private let client: End
        private let server: End

        init(_ world: World) throws {
            let handler = TLSHandler(client: world.client, serverName: TLSServerName(host: "localhost"))
            server = try End(TLSHandler(server: world.server), on: loop)
            client = try End(handler, on: loop)
        }

        /// Both say `bytes`, and one of the pieces of ciphertext is damaged.
        func talk(_ bytes: [UInt8], _ damage: Damage?, at place: Int, drip: Int?) throws {
            var (number, isDamaged) = (0, false)
            func move(_ from: End, _ to: End) throws -> Bool {
                var moved = false
                while let piece = try from.channel.readOutbound(as: ByteBuffer.self) {
                    moved = true
                    var rest = piece
                    if let damage, number == place {
                        rest = ByteBuffer(bytes: damage.of(Array(piece.readableBytesView)))
                        isDamaged = rest != piece
                    }
                    number += 1
                    while let part = rest.readSlice(length: min(drip ?? .max, rest.readableBytes)),
                        part.readableBytes > 0
                    {
                        if to.channel.isActive { _ = try? to.channel.writeInbound(part) }
                    }
                }
                return moved
            }
            func pump() throws {
                var moved = true
                while moved {
                    let (up, down) = (try move(client, server), try move(server, client))
                    moved = up || down
                    loop.run()
                }
            }
            for end in [client, server] { end.channel.read() }
            try pump()
            for _ in 0..<2 {
                for end in [client, server] where end.channel.isActive {
                    end.channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
                }
                try pump()
            }
            let said = bytes + bytes
            for end in [client, server] {
                try hold(said.starts(with: end.ear.bytes), "other bytes than were said")
                try hold(isDamaged || (end.ear.isOpen && end.ear.bytes == said), "a connection that does not work")
            }
            loop.advanceTime(by: .hours(1))
            for end in [client, server] { _ = try? end.channel.finish(acceptAlreadyClosed: true) }
        }
    }
}
