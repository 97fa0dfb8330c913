// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOPosix

/// The WebSocket of both programs behind nothing but an opening, saying again what it hears: what Autobahn|Testsuite
/// wants to see of a server, and of a client. For tests only.
///
///     WebSocketEcho serve         prints its port, and serves until it is ended
///     WebSocketEcho call PORT     goes through the cases of the suite's server on that port
@main struct EchoProgram {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        switch (arguments.first, arguments.count) {
        case ("serve", 1): try await serve()
        case ("call", 2):
            guard let port = arguments.last.flatMap({ Int($0) }) else { throw WrongArguments() }
            try await call(port)
        default: throw WrongArguments()
        }
    }

    private static func serve() async throws {
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(OpeningHandler(.server))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        try FileHandle.standardOutput.write(contentsOf: Data("\(channel.localAddress?.port ?? 0)\n".utf8))
        try await channel.closeFuture.get()
    }

    private static func call(_ port: Int) async throws {
        let count = try await visit("/getCaseCount", port)
        guard let count = count.first.flatMap({ Int(String(buffer: $0)) }) else { throw NoSuite() }
        for number in 1...max(1, count) { _ = try await visit("/runCase?case=\(number)&agent=relay-client", port) }
        _ = try await visit("/updateReports?agent=relay-client", port)
    }

    /// Opens a WebSocket and stays to its end; what was said there.
    private static func visit(_ target: String, _ port: Int) async throws -> [ByteBuffer] {
        let group = MultiThreadedEventLoopGroup.singleton
        let heard = group.any().makePromise(of: [ByteBuffer].self)
        let channel = try await ClientBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(OpeningHandler(.client(target: target, heard)))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        try await channel.closeFuture.get()
        return try await heard.futureResult.get()
    }
}

/// The arguments are not those above.
private struct WrongArguments: Error {}
/// What is on that port is not the suite's server.
private struct NoSuite: Error {}
