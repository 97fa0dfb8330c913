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

    @Test("no more are accepted while many that were refused are not closed yet")
    func refusedOnesAreClosedFirst() async throws {
        let relay = try await TestRelay.start()
        let admission = relay.services.admission
        admission.apply(try #require(AddressLimit("1")))
        let (accepting, connections) = (MultiThreadedEventLoopGroup(numberOfThreads: 1), OneLoop())
        let listener = try await RelayListener.bootstrap(
            loops: ListenerLoops(accepting: accepting, connections: connections.group), services: relay.services
        ) { _, _ in }
        .bind(host: "127.0.0.1", port: 0).get()
        let address = try #require(listener.localAddress)

        // Their loop is busy, so that none of them is closed.
        let busy = connections.hold()
        var clients: [any Channel] = []
        for _ in 0..<400 { clients.append(try await ClientBootstrap(group: relay.group).connect(to: address).get()) }
        let most = Defaults.Connection.closingAtOnce + Int(Defaults.Connection.acceptedAtOnce) + 8
        while admission.connections < Defaults.Connection.closingAtOnce { await Task.yield() }
        for _ in 0..<100 { try await accepting.any().submit {}.get() }
        #expect(admission.connections <= most)
        #expect(relay.services.accepts.counts.accepted <= UInt64(most))

        busy.signal()
        for client in clients.dropFirst(8) { try await client.closeFuture.get() }
        while relay.services.accepts.counts.accepted < 400 { await Task.yield() }
        for client in clients.prefix(8) { try await client.close() }
        try await listener.close()
        try await relay.stop()
        try await connections.group.shutdownGracefully()
        try await accepting.shutdownGracefully()
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
