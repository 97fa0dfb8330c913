// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import RelayTestFixtures
import StreamRelay
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

/// Where the halves of a stream are: loopback, without TLS.
enum StreamLayout: CaseIterable {
    /// On one node with two event loops: both halves may land on the same loop or on two.
    case oneNode
    /// The upload lands on one node, the download is on the other.
    case twoNodes

    /// What a test works with.
    struct Nodes {
        /// Where uploads land.
        let up: TestRelay
        /// Where downloads are.
        let down: TestRelay
        /// The listener for the other node's streams; none with one node.
        let door: (any Channel)?

        var streams: Int { up.services.streams.count + down.services.streams.count }
    }

    /// Starts the nodes, runs `body` and stops them.
    func withNodes(_ body: (Nodes) async throws -> Void) async throws {
        let directory = TestDirectory(downloadNode: self == .oneNode ? .alone : .test("b"))
        let down = try await TestRelay.start(node: self == .oneNode ? .alone : .test("b"), directory: directory)
        let door = self == .oneNode ? nil : try await Self.door(to: down)
        let up =
            if let door {
                try await TestRelay.start(
                    node: .test("a"), directory: directory, connector: PlainConnector(address: door.localAddress))
            } else {
                down
            }
        let result: Result<Void, any Error>
        do { result = .success(try await body(Nodes(up: up, down: down, door: door))) } catch {
            result = .failure(error)
        }
        if let door {
            try await up.stop()
            try? await door.close()
        }
        try await down.stop()
        try result.get()
    }

    private static func door(to relay: TestRelay) async throws -> any Channel {
        let services = relay.services
        return try await RelayListener.bootstrap(
            loops: ListenerLoops(accepting: relay.group, connections: relay.group), services: services
        ) { channel, _ in
            try channel.pipeline.syncOperations.addHandler(
                RequestReader(Door(services: services), patience: .init(Defaults.Connection.headTimeout)))
        }.bind(host: "127.0.0.1", port: 0).get()
    }
}

/// Takes in a stream, as the nodes' listener does behind its certificates.
private struct Door: RequestResponder {
    let services: ConnectionServices

    func refused(_ refusal: HTTPError) {}
    func failed(_ error: any Error, _ reader: RequestReader) {}

    func respond(to head: RequestHead, _ reader: RequestReader) {
        do throws(HTTPError) {
            try NodeStreams(services: services).accept(head, from: .test("a"), reader)
        } catch {
            reader.end(with: error, after: RequestBodyReader(head.framing))
        }
    }
}

/// Reaches the other node's listener as it is.
private struct PlainConnector: NodeConnector {
    let address: SocketAddress?

    func connect(
        to node: NodeID, on loop: any EventLoop, initialize: @escaping @Sendable (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        guard let address else { return loop.makeFailedFuture(ChannelError.eof) }
        return ClientBootstrap(group: loop)
            .channelInitializer { channel in channel.eventLoop.makeCompletedFuture { try initialize(channel) } }
            .connect(to: address)
    }
}
