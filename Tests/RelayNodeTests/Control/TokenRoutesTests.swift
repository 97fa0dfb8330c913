// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import RelayTestFixtures
import Synchronization
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

/// Other nodes that only listen, and a note of everything that this one does about them.
private final class NotingCluster: Cluster {
    let told = Mutex<[NodeMessage]>([])
    let void = Mutex<Set<TokenDigest>>([])
    let published = Mutex<[(digest: TokenDigest, written: EventLoopPromise<Void>?)]>([])
    /// Where routes are written; nil when they stand at once.
    let loop: EmbeddedEventLoop?
    let publicURL: PublicURL? = nil

    init(loop: EmbeddedEventLoop? = nil) { self.loop = loop }

    func send(_ message: NodeMessage, to node: NodeID) { told.withLock { $0.append(message) } }
    func announce(_ announcement: BrokerAnnouncement) {
        if case .void(let digest) = announcement { void.withLock { _ = $0.insert(digest) } }
    }
    func receivers(of name: PeerName, on loop: any EventLoop) -> EventLoopFuture<RemoteReceivers> {
        loop.makeSucceededFuture(.none)
    }
    func sharers(of name: PeerName, on loop: any EventLoop) -> EventLoopFuture<RemoteSharers> {
        loop.makeSucceededFuture(.none)
    }
    func publish(_ digest: TokenDigest) -> EventLoopFuture<Void>? {
        let written = loop?.makePromise(of: Void.self)
        published.withLock { $0.append((digest, written)) }
        return written?.futureResult
    }
    func home(of digest: TokenDigest, on loop: any EventLoop) -> EventLoopFuture<NodeID?> {
        loop.makeSucceededFuture(nil)
    }

    var summaries: [String] { told.withLock { $0.map { summary($0) } } }
}

/// Which tokens are made, and which of them other nodes can find.
@Suite(.timeLimit(.minutes(5))) struct TokenRoutesTests {
    private let cluster: NotingCluster
    private let service: BrokerService
    private let services: ControlServices
    private let payload = BrokerFixture.payload

    init() {
        cluster = NotingCluster()
        service = BrokerService(node: .test("a"), cluster: cluster)
        services = ControlServices(broker: service, directory: FakeDirectory(), registration: .invite)
    }

    private func open(_ name: String, _ sink: RecordingSink, _ service: BrokerService? = nil) -> SessionID {
        let service = service ?? self.service
        let session = service.connected(sink)
        service.handle(.sessionOpened(session, BrokerFixture.user(name), .unknown))
        service.handle(.requestReceived(.presence(.init(id: .unknown, receiving: true)), from: session))
        return session
    }

    private func offered(by sender: SessionID, _ service: BrokerService? = nil) -> TransferID {
        let (bob, transfer) = (BrokerFixture.user("bob"), TransferID.random())
        let offer = ClientMessage.Offer(id: .unknown, transfer: transfer, to: bob.name, wait: true, payload: payload)
        let found = LookupResult(user: bob, elsewhere: .none)
        (service ?? self.service).handle(.requestReceived(.offer(offer), from: sender, found: found))
        return transfer
    }

    private func accept(_ transfer: TransferID, by session: SessionID, _ service: BrokerService? = nil) {
        let accept = ClientMessage.Accept(id: .unknown, transfer: transfer, payload: payload)
        (service ?? self.service).handle(.requestReceived(.accept(accept), from: session))
    }

    @Test("a transfer of another home is accepted without a token of this node, and nothing overtakes the accept")
    func acceptElsewhere() async throws {
        let bob = try await ControlClient("bob", services)
        _ = try await bob.register(try bob.credentials(.register))
        _ = try await bob.ask(.presence(.init(id: .sequence(.client, 2), receiving: true)))
        let transfer = TransferID.random()
        service.received(
            .notice(session: 1, .ring(transfer, from: BrokerFixture.user("alice"), to: bob.name, payload)),
            from: .test("b"))
        #expect(try await bob.next().kind == .ring)
        try await bob.send(.accept(.init(id: .sequence(.client, 3), transfer: transfer, payload: payload)))
        try await bob.send(.cancel(.init(id: .sequence(.client, 4), transfer: transfer, code: .cancelled)))
        try await eventually("both") { cluster.summaries.count == 2 }
        #expect(cluster.summaries == ["1.accept", "1.cancel"])
        // Nor is one made for a transfer that no node has.
        let unknown = ClientMessage.Accept(id: .sequence(.client, 5), transfer: .random(), payload: payload)
        guard case .error(let refusal) = try await bob.ask(.accept(unknown)) else { return #expect(Bool(false)) }
        #expect(refusal.code == .unknownTransfer)
        #expect(cluster.published.withLock { $0.isEmpty })
    }

    @Test("a used token is void, whichever node it was shown on; a claim in vain voids nothing")
    func claimed() throws {
        let sink = RecordingSink()
        let (alice, bob) = (open("alice", RecordingSink()), open("bob", sink))
        for other in [NodeID?.none, .test("b")] {
            accept(offered(by: alice), by: bob)
            let digest = TokenDigest(try #require(sink.takeTokens().first))
            for (role, isVoid) in [(TransferRole.upload, false), (.download, true)] {
                if let other {
                    service.received(.claim(id: 1, digest: digest, role: role), from: other)
                } else {
                    _ = service.claim(digest, as: role, by: .test("a"))
                }
                #expect(cluster.void.withLock { $0.contains(digest) } == isVoid)
            }
        }
        #expect(cluster.summaries == ["claimed.no", "claimed.yes"])
    }

    @Test("a token is handed out once others can find it, and is void when the transfer has ended by then")
    func publishedFirst() throws {
        let loop = EmbeddedEventLoop()
        let cluster = NotingCluster(loop: loop)
        let service = BrokerService(node: .test("a"), cluster: cluster)
        let sink = RecordingSink()
        let (alice, bob) = (open("alice", RecordingSink(), service), open("bob", sink, service))
        for isCancelled in [false, true] {
            let transfer = offered(by: alice, service)
            accept(transfer, by: bob, service)
            // The first to accept has it, whatever the token waits for.
            accept(transfer, by: bob, service)
            let (digest, written) = try #require(cluster.published.withLock { $0.popLast() })
            #expect(cluster.published.withLock { $0.isEmpty } && sink.takeTokens().isEmpty)
            if isCancelled {
                let cancel = ClientMessage.Cancel(id: .unknown, transfer: transfer, code: .cancelled)
                service.handle(.requestReceived(.cancel(cancel), from: alice))
            }
            written?.succeed()
            loop.run()
            #expect(sink.takeTokens().map(TokenDigest.init) == (isCancelled ? [] : [digest]))
            #expect(cluster.void.withLock { $0.contains(digest) } == isCancelled)
        }
    }
}
