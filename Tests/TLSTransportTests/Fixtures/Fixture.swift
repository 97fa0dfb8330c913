// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport

@testable import TLSTransport

/// Contexts on certificates that are made once for each run of the tests.
enum Fixture {
    private static let made = Result { try TestCertificates(names: ["localhost", "*.wild.test", "127.0.0.1", "::1"]) }

    static var certificates: TestCertificates {
        get throws { try made.get() }
    }

    static func server(protocols: [String] = ["http/1.1"]) throws -> TLSContext {
        let files = try certificates
        return try .server(
            certificateChain: files.server, privateKey: files.serverKey, applicationProtocols: protocols)
    }

    static func client(protocols: [String] = ["http/1.1"]) throws -> TLSContext {
        try .client(trust: .file(try certificates.ca), applicationProtocols: protocols)
    }

    /// Two ends with their handshake still to do.
    static func joined(
        name: String = "localhost", observer: TLSObserver = TLSObserver()
    ) throws -> JoinedChannels {
        try JoinedChannels(
            client: TLSHandler(client: try client(), serverName: TLSServerName(host: name)),
            server: TLSHandler(server: try server(), observer: observer))
    }

    /// Two ends after their handshake.
    static func open(observer: TLSObserver = TLSObserver()) throws -> JoinedChannels {
        let joined = try joined(observer: observer)
        try joined.pump()
        return joined
    }

    /// Bytes that look random and are always the same.
    static func bytes(_ count: Int, seed: UInt64 = 1) -> ByteBuffer {
        var state = seed
        var buffer = ByteBuffer()
        buffer.reserveCapacity(count)
        while buffer.readableBytes < count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            buffer.writeInteger(state ^ (state >> 31))
        }
        buffer.moveWriterIndex(to: count)
        return buffer
    }
}
