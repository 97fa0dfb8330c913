// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Synchronization
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

/// Other nodes that only listen; of them this node says that its own address is `publicURL`.
private final class SilentCluster: Cluster {
    let publicURL: PublicURL?
    let told = Mutex<[NodeMessage]>([])

    init(_ publicURL: PublicURL?) { self.publicURL = publicURL }

    func send(_ message: NodeMessage, to node: NodeID) { told.withLock { $0.append(message) } }
    func announce(_ announcement: BrokerAnnouncement) {}
    func receivers(of name: PeerName, on loop: any EventLoop) -> EventLoopFuture<RemoteReceivers> {
        loop.makeSucceededFuture(.none)
    }
    func sharers(of name: PeerName, on loop: any EventLoop) -> EventLoopFuture<RemoteSharers> {
        loop.makeSucceededFuture(.none)
    }
    func publish(_ digest: TokenDigest) -> EventLoopFuture<Void>? { nil }
    func home(of digest: TokenDigest, on loop: any EventLoop) -> EventLoopFuture<NodeID?> {
        loop.makeSucceededFuture(nil)
    }
}

/// Where a sender is told to bring its bytes.
@Suite struct SteeringTests {
    private static let (own, other) = (PublicURL(rawValue: "https://own"), PublicURL(rawValue: "https://other"))
    private let cluster = SilentCluster(own)
    private let service: BrokerService

    init() {
        service = BrokerService(node: .test("a"), cluster: cluster)
    }

    /// A transfer from alice to bob, accepted, its download's token claimed by `holder`.
    private func accepted(by holder: NodeID, _ sender: RecordingSink) throws -> TransferID {
        let (receiver, transfer) = (RecordingSink(), TransferID.random())
        let sessions = [("alice", sender), ("bob", receiver)].map { name, sink in
            let session = service.connected(sink)
            service.handle(.sessionOpened(session, BrokerFixture.user(name), .unknown))
            return session
        }
        func ask(_ session: SessionID, _ message: ClientMessage, found: LookupResult? = nil) {
            service.handle(.requestReceived(message, from: session, found: found))
        }
        let (bob, payload) = (BrokerFixture.user("bob"), BrokerFixture.payload)
        ask(sessions[1], .presence(.init(id: .unknown, receiving: true)))
        ask(
            sessions[0],
            .offer(.init(id: .unknown, transfer: transfer, to: bob.name, wait: true, payload: payload)),
            found: LookupResult(user: bob, elsewhere: .none))
        ask(sessions[1], .accept(.init(id: .unknown, transfer: transfer, payload: payload)))
        let token = try #require(receiver.takeTokens().first)
        #expect(service.claim(TokenDigest(token), as: .download, by: holder) != nil)
        return transfer
    }

    /// The URL of the next `start`.
    private func url(_ sink: RecordingSink) async throws -> String {
        let found = Mutex<String?>(nil)
        try await eventually("start") {
            for case .message(.start(let start)) in sink.take() { found.withLock { $0 = start.url } }
            return found.withLock { $0 != nil }
        }
        return found.withLock { $0 } ?? ""
    }

    @Test("the node that holds the download says where: this one by its configuration, others over the link")
    func byWhoHoldsTheDownload() async throws {
        let sink = RecordingSink()
        let here = try accepted(by: .test("a"), sink)
        service.streamChanged(StreamKey(home: .test("a"), transfer: here), .downloadParked)
        #expect(try await url(sink) == "https://own/upload")

        let there = try accepted(by: .test("b"), sink)
        // A node that does not hold the download has no say.
        service.received(.stream(transfer: there, .downloadParked, url: Self.own), from: .test("c"))
        service.received(.stream(transfer: there, .downloadParked, url: Self.other), from: .test("b"))
        #expect(try await url(sink) == "https://other/upload")

        let nowhere = try accepted(by: .test("b"), sink)
        service.received(.stream(transfer: nowhere, .downloadParked), from: .test("b"))
        #expect(try await url(sink) == "/upload")
    }

    @Test("a node tells its own address to the homes of the downloads it holds, and with nothing else")
    func toldToHomes() {
        let key = StreamKey(home: .test("b"), transfer: .random())
        for event in [StreamEvent.downloadParked, .joined, .finished(bytes: 1)] { service.streamChanged(key, event) }
        #expect(
            cluster.told.withLock { $0 } == [
                .stream(transfer: key.transfer, .downloadParked, url: Self.own),
                .stream(transfer: key.transfer, .joined), .stream(transfer: key.transfer, .finished(bytes: 1)),
            ])
    }
}
