// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
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
    let minted = Mutex(0)
    let publicURL: PublicURL? = nil

    func send(_ message: NodeMessage, to node: NodeID) { told.withLock { $0.append(message) } }
    func announce(_ announcement: ExchangeAnnouncement) {
        if case .void(let digest) = announcement { void.withLock { _ = $0.insert(digest) } }
    }
    func receivers(of name: PeerName) async -> RemoteReceivers { .none }
    func newToken() async -> Token {
        minted.withLock { $0 += 1 }
        return .random()
    }
    func home(of digest: TokenDigest) async throws(ClusterUnavailable) -> NodeID? { nil }

    var words: [String] { told.withLock { $0.map(word) } }
}

/// Which tokens are made, and which of them other nodes can find.
@Suite(.timeLimit(.minutes(1))) struct TokenRoutesTests {
    private let cluster = NotingCluster()
    private let service: ExchangeService
    private let services: ControlServices
    private let payload = ExchangeFixture.payload

    init() {
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        service = ExchangeService(node: .test("a"), cluster: cluster, logger: quiet)
        services = ControlServices(
            exchange: service, directory: FakeDirectory(), registration: .invite, agent: Label(clipping: "test"),
            logger: quiet, reports: LimitReports(logger: quiet))
    }

    private func open(_ name: String, _ sink: RecordingSink) -> SessionID {
        let session = service.connected(sink)
        service.handle(.sessionOpened(session, ExchangeFixture.user(name), .unknown))
        service.handle(.requestReceived(.presence(.init(id: .unknown, receiving: true)), from: session))
        return session
    }

    private func offered(by sender: SessionID) -> TransferID {
        let (bob, transfer) = (ExchangeFixture.user("bob"), TransferID.random())
        let offer = ClientMessage.Offer(id: .unknown, transfer: transfer, to: bob.name, wait: true, payload: payload)
        service.handle(.requestReceived(.offer(offer, to: bob, elsewhere: .none), from: sender))
        return transfer
    }

    private func accept(_ transfer: TransferID, by session: SessionID, _ token: Token?) {
        let accept = ClientMessage.Accept(id: .unknown, transfer: transfer, payload: payload)
        service.handle(.requestReceived(.accept(accept, token: token), from: session))
    }

    @Test("a transfer of another home is accepted without a token of this node, and nothing overtakes the accept")
    func acceptElsewhere() async throws {
        let bob = try await ControlClient("bob", services)
        _ = try await bob.register(try bob.credentials(.register))
        _ = try await bob.ask(.presence(.init(id: .sequence(.client, 2), receiving: true)))
        let transfer = TransferID.random()
        service.received(
            .ring(session: 1, transfer: transfer, from: ExchangeFixture.user("alice"), to: bob.name, payload: payload),
            from: .test("b"))
        #expect(try await bob.next().kind == .ring)
        try await bob.send(.accept(.init(id: .sequence(.client, 3), transfer: transfer, payload: payload)))
        try await bob.send(.cancel(.init(id: .sequence(.client, 4), transfer: transfer, code: .cancelled)))
        try await eventually("both") { cluster.words.count == 2 }
        #expect(cluster.words == ["1.accept", "1.cancel"])
        // Nor is one made for a transfer that nobody has.
        let unknown = ClientMessage.Accept(id: .sequence(.client, 5), transfer: .random(), payload: payload)
        guard case .error(let refusal) = try await bob.ask(.accept(unknown)) else { return #expect(Bool(false)) }
        #expect(refusal.code == .unknownTransfer)
        #expect(cluster.minted.withLock { $0 } == 0)
    }

    @Test("a used token is void, whichever node it was shown on; a claim in vain voids nothing")
    func claimed() throws {
        let sink = RecordingSink()
        let (alice, bob) = (open("alice", RecordingSink()), open("bob", sink))
        for other in [NodeID?.none, .test("b")] {
            accept(offered(by: alice), by: bob, .random())
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
        #expect(cluster.words == ["claimed.no", "claimed.yes"])
    }

    @Test("a token that was made and not handed out is void")
    func madeInVain() {
        let sink = RecordingSink()
        let (alice, bob, late) = (open("alice", RecordingSink()), open("bob", sink), open("bob", RecordingSink()))
        let transfer = offered(by: alice)
        let tokens = [Token.random(), .random(), .random(), .random()]
        accept(transfer, by: bob, tokens[0])
        accept(transfer, by: late, tokens[1])
        accept(.random(), by: late, tokens[2])
        service.handle(.downloadParked(transfer, on: .test("b"), UploadGrant(token: tokens[3])))
        #expect(sink.takeTokens() == [tokens[0]])
        #expect(cluster.void.withLock { $0 } == Set(tokens[1...].map(TokenDigest.init)))
    }
}
