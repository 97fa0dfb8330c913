// SPDX-License-Identifier: Apache-2.0

import Dispatch
import NIOCore
import NIOPosix
import RelayTestFixtures
import ServerSystem
import Synchronization
import Testing
import TransferBroker

@testable import RelayNode

@Suite("Listening for clients", .timeLimit(.minutes(5))) struct RelayListenerTests {
    @Test("a connection whose client was gone before it was accepted costs no pipeline and is not counted")
    func goneBeforeItWasAccepted() async throws {
        let relay = try await TestRelay.start()
        let installed = Mutex(0)
        let (letIn, arrivals) = AsyncStream.makeStream(of: Void.self)
        let listener = try await RelayListener.bootstrap(
            loops: ListenerLoops(accepting: relay.group, connections: relay.group), services: relay.services
        ) { _, _ in
            installed.withLock { $0 += 1 }
            arrivals.yield()
        }
        .serverChannelOption(.autoRead, value: false)
        .bind(host: "127.0.0.1", port: 0).get()
        let address = try #require(listener.localAddress)

        // They are in the kernel's queue, and reset before the listener looks.
        for _ in 0..<3 {
            let client = try await ClientBootstrap(group: relay.group)
                .connect(to: address).get()
            try await #require(client as? any SocketOptionProvider).setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
            try await client.close()
        }
        let client = try await ClientBootstrap(group: relay.group).connect(to: address).get()
        try await listener.setOption(.autoRead, value: true).get()
        listener.read()
        // All before the first one that is let in have been looked at by then, and it is the last one in the queue.
        for await _ in letIn { break }
        #expect(relay.services.admission.connections == 1)
        #expect(installed.withLock { $0 } == 1)

        try await client.close()
        try await listener.close()
        try await relay.stop()
    }

    @Test("a connection that its address has no room for is closed, and costs no pipeline")
    func tooManyOfOneAddress() async throws {
        let relay = try await TestRelay.start()
        let accepting = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        relay.services.admission.apply(try #require(AddressLimit("1")))
        let installed = Mutex(0)
        let listener = try await RelayListener.bootstrap(
            loops: ListenerLoops(accepting: accepting, connections: relay.group), services: relay.services
        ) { _, _ in installed.withLock { $0 += 1 } }
        .bind(host: "127.0.0.1", port: 0).get()
        let address = try #require(listener.localAddress)

        var clients: [any Channel] = []
        for _ in 0..<9 { clients.append(try await ClientBootstrap(group: relay.group).connect(to: address).get()) }
        try await clients[8].closeFuture.get()
        // Those before it get their handlers on two loops, which may still be about to.
        while installed.withLock({ $0 }) < 8 || relay.services.admission.connections > 8 { await Task.yield() }
        #expect(installed.withLock { $0 } == 8)

        for client in clients.prefix(8) { try await client.close() }
        try await listener.close()
        try await relay.stop()
        try await accepting.shutdownGracefully()
    }

    @Test("in a flood, connections are refused while the loops of those that are let in are busy")
    func refusedBesideBusyLoops() async throws {
        let flood = try await Flood()
        // Those that NIO had accepted before the first was refused have to be closed by their loop, which is busy.
        let most = Int(Defaults.Connection.acceptedAtOnce) + 8
        for client in flood.clients.dropFirst(most) { try await client.closeFuture.get() }
        #expect(flood.admission.connections <= most)
        #expect(flood.installed.withLock { $0 } == [])

        flood.busy.signal()
        for client in flood.clients.dropFirst(8) { try await client.closeFuture.get() }
        while flood.admission.connections > 8 { await Task.yield() }
        #expect(flood.relay.services.accepts.counts.accepted == UInt64(flood.clients.count))
        try await flood.end()
    }

    @Test("in a flood, who has room is let in, with its address, and counted until it leaves; and after it")
    func letInDuringAFlood() async throws {
        let flood = try await Flood()
        for client in flood.clients.dropFirst(Int(Defaults.Connection.acceptedAtOnce) + 8) {
            try await client.closeFuture.get()
        }
        // Refused ones are open still, so that it goes on.
        flood.admission.apply(.off)
        let accepted = flood.relay.services.accepts.counts.accepted
        let honest = try await flood.connect()
        while flood.relay.services.accepts.counts.accepted == accepted { await Task.yield() }

        flood.busy.signal()
        for client in flood.clients.dropFirst(8) { try await client.closeFuture.get() }
        let address = try #require(honest.localAddress)
        while flood.installed.withLock({ !$0.contains(address) }) { await Task.yield() }
        while flood.admission.connections > 9 { await Task.yield() }
        #expect(flood.admission.connections == 9)
        try await honest.close()
        while flood.admission.connections > 8 { await Task.yield() }

        let later = try await flood.connect()
        let place = try #require(later.localAddress)
        while flood.installed.withLock({ !$0.contains(place) }) { await Task.yield() }
        try await later.close()
        try await flood.end()
    }

    /// A listener with room for 8 connections of an address, whose loop of connections is busy, and 400 clients.
    private struct Flood {
        let relay: TestRelay
        let accepting = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let connections = OneLoop()
        let busy: DispatchSemaphore
        /// Where those that were let in come from, once they have their handlers and are heard.
        let installed: Installed
        let listener: any Channel
        private(set) var clients: [any Channel] = []

        var admission: Admission { relay.services.admission }

        init() async throws {
            relay = try await TestRelay.start()
            let installed = Installed()
            self.installed = installed
            relay.services.admission.apply(try #require(AddressLimit("1")))
            listener = try await RelayListener.bootstrap(
                loops: ListenerLoops(accepting: accepting, connections: connections.group), services: relay.services
            ) { channel, _ in try channel.pipeline.syncOperations.addHandler(Arrival(installed)) }
            .bind(host: "127.0.0.1", port: 0).get()
            busy = connections.hold()
            for _ in 0..<400 { clients.append(try await connect()) }
        }

        func connect() async throws -> any Channel {
            try await ClientBootstrap(group: relay.group).connect(to: #require(listener.localAddress)).get()
        }

        func end() async throws {
            for client in clients.prefix(8) { try await client.close() }
            try await listener.close()
            try await relay.stop()
            try await connections.group.shutdownGracefully()
            try await accepting.shutdownGracefully()
        }
    }

    /// Addresses of connections.
    private final class Installed: Sendable {
        private let addresses = Mutex<[SocketAddress]>([])

        func withLock<Result: Sendable>(_ body: (inout [SocketAddress]) -> Result) -> Result {
            addresses.withLock { body(&$0) }
        }
    }

    /// Notes where a connection comes from when it is there.
    private final class Arrival: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let installed: Installed

        init(_ installed: Installed) { self.installed = installed }

        func channelActive(context: ChannelHandlerContext) {
            if let address = context.channel.remoteAddress { installed.withLock { $0.append(address) } }
        }
    }

    /// A loop that can be kept busy.
    private struct OneLoop {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

        /// Its thread waits until the semaphore is signalled.
        func hold() -> DispatchSemaphore {
            let end = DispatchSemaphore(value: 0)
            group.any().execute { end.wait() }
            return end
        }
    }
}
