// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import Testing

@testable import ServerSystem

@Suite("What the kernel takes in for a connection")
struct SocketSettingsTests {
    private static func socket(_ name: Int32) -> ChannelOptions.Types.SocketOption {
        .init(level: .socket, name: .init(rawValue: name))
    }

    @Test("is fixed, and may be fixed once more, at more")
    func window() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let listener = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
        let address = try #require(listener.localAddress)
        let channel = try await ClientBootstrap(group: group).connect(to: address).get()
        let sizes = try await channel.eventLoop.submit {
            let options = try #require(channel.syncOptions)
            return try [512 * 1024, 2 * 1024 * 1024].map { window in
                SocketSettings.fixReceiveBuffer(channel, window: window)
                // SO_BUF_LOCK: 2 is that of the receiving side.
                #expect(try options.getOption(Self.socket(72)) == 2)
                return try options.getOption(Self.socket(SO_RCVBUF))
            }
        }.get()
        #expect(sizes[0] >= 512 * 1024 && sizes[0] < 2 * 1024 * 1024 && sizes[1] >= 2 * 1024 * 1024, "\(sizes)")
        try await channel.close()
        try await listener.close()
        try await group.shutdownGracefully()
    }
}
