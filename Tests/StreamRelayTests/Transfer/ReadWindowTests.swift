// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import ServerSystem
import TLSTransport
import Testing
import TransferBroker

@testable import StreamRelay

@Suite struct ReadWindowTests {
    private static let least = SystemDefaults.receiveBytes
    private static let most = TLSDefaults.sharedReceiveLength

    private func bytes(_ size: Int, _ queued: Int, after forwarded: UInt64 = Defaults.Stream.provenBytes) -> Int {
        ReadWindow.bytes(ReadWindow.SendBuffer(size: size, queued: queued), forwarded: forwarded)
    }

    @Test func isTheLeastUntilTheReceiverHasTakenSomething() {
        // Less than this the kernel can hold for a receiver that never reads.
        #expect(Defaults.Stream.provenBytes > UInt64(SystemDefaults.unsentBytes))
        #expect(bytes(5_000_000, 0, after: 0) == Self.least)
        #expect(bytes(5_000_000, 0, after: Defaults.Stream.provenBytes - 1) == Self.least)
        #expect(bytes(5_000_000, 0) == Self.most)
    }

    @Test func isTheLeastWhereTheRoomIsUnknownOrThereIsNone() {
        #expect(ReadWindow.bytes(nil, forwarded: .max) == Self.least)
        #expect(bytes(0, 0) == Self.least)
        #expect(bytes(87_040, 0) == Self.least)
        #expect(bytes(4_000_000, 4_000_000) == Self.least)
        #expect(bytes(4_000_000, 5_000_000) == Self.least)
        // The kernel may hold more than that, but must not say that it takes more than is allowed to wait there.
        #expect(bytes(.max, Defaults.Stream.provenUnsentBytes) == Self.least)
    }

    @Test func isTheLeastWhileSomethingWaitsToBeWritten() {
        let room = ReadWindow.SendBuffer(size: 5_000_000, queued: 0)
        #expect(ReadWindow.bytes(room, unsent: 1, forwarded: .max) == Self.least)
        #expect(ReadWindow.bytes(room, unsent: 0, forwarded: .max) == Self.most)
    }

    @Test func isTheMostWhereThereIsRoom() {
        #expect(bytes(5_000_000, 0) == Self.most)
        #expect(bytes(.max, 0) == Self.most)
    }

    @Test func isNeverMoreThanHalfOfTheRoom() {
        for size in stride(from: 0, through: 6_000_000, by: 250_000) {
            for queued in stride(from: 0, through: 6_000_000, by: 130_000) {
                let allowance = bytes(size, queued)
                #expect(Self.least...Self.most ~= allowance)
                #expect(allowance == Self.least || allowance <= (size - queued) / 2)
            }
        }
    }

    @Test func theKernelTellsHowFullItsBufferIs() async throws {
        let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.autoRead, value: false)
            .bind(host: "127.0.0.1", port: 0).get()
        let address = try #require(server.localAddress)
        let client = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup).connect(to: address).get()
        let before = try await client.eventLoop.submit { ReceiverSocket(client)?.sendBuffer }.get()
        // More than both kernels hold: the rest stays in the channel.
        client.writeAndFlush(ByteBuffer(repeating: 0, count: 64 * 1024 * 1024), promise: nil)
        let after = try await client.eventLoop.submit { ReceiverSocket(client)?.sendBuffer }.get()
        let (empty, full) = (try #require(before), try #require(after))
        #expect(empty.size > 0 && empty.queued == 0)
        #expect(full.queued > full.size / 2)
        #expect(ReadWindow.bytes(full, forwarded: .max) < Self.most)
        try await client.close()
        try await server.close()
    }

    @Test func theKernelHoldsAsMuchAsItIsAllowed() async throws {
        let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.autoRead, value: false)
            .bind(host: "127.0.0.1", port: 0).get()
        let address = try #require(server.localAddress)
        let client = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup).connect(to: address).get()
        try await client.eventLoop.submit { ReceiverSocket(client)?.allowUnsent(123_456) }.get()
        let unsent = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: TCP_NOTSENT_LOWAT))
        #expect(try await client.getOption(unsent).get() == 123_456)
        try await client.close()
        try await server.close()
    }
}
