// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import NIOEmbedded
import Pacing
import RelayTestFixtures
import Synchronization
import Testing
import TransferBroker
import WSProtocol
import WebSocketTransport

@testable import RelayNode

@Suite(.timeLimit(.minutes(5))) struct ControlHandlerTests {
    private let directory = FakeDirectory()
    private let services: ControlServices

    init() {
        services = ControlServices(broker: BrokerService(), directory: directory, registration: .invite)
    }

    private func client(_ name: String) async throws -> ControlClient { try await ControlClient(name, services) }

    private func open(_ name: String) async throws -> ControlClient {
        let client = try await client(name)
        let welcome = try await client.register(try client.credentials(.register))
        #expect(welcome.kind == .welcome)
        return client
    }

    private func code(_ message: ServerMessage) -> FailureCode? {
        if case .error(let refusal) = message { refusal.code } else { nil }
    }

    private let c1 = RequestID.sequence(.client, 1)
    private let c2 = RequestID.sequence(.client, 2)

    @Test func theChallengeComesFirst() async throws {
        let client = try await client("alice")
        #expect(client.challenge.id.rawValue == "r1")
        #expect(client.challenge.registration == .invite)
    }

    @Test func registeringOpensTheSession() async throws {
        let client = try await client("alice")
        #expect(client.logins == 0)
        let welcome = try await client.register(try client.credentials(.register))
        guard case .welcome(let welcome) = welcome else { return #expect(welcome.kind == .welcome) }
        #expect(welcome.id == c1 && welcome.name == client.name && welcome.heartbeat == 20)
        #expect(welcome.session.rawValue == "n1-1")
        #expect(services.broker.status.sessions == 1 && client.logins == 1)
        #expect(try await client.ask(.ping(.init(id: c2))) == .pong(.init(id: c2)))
        #expect(code(try await client.login(try client.credentials(.login))) == .notNow)
        try await client.channel.close()
        await client.channel.testingEventLoop.run()
        #expect(services.broker.status.sessions == 0 && services.broker.connections == 0)
    }

    @Test func loginPublishesThePrekeyAndIsRecordedOnlyWhenItBringsAnother() async throws {
        let first = try await client("alice")
        let published = PublishedPrekey.test(24_322)
        let credentials = try first.credentials(.register)
        let register = ClientMessage.Register(
            id: c1, credentials: credentials, invitation: FakeDirectory.invitation, prekey: published)
        #expect(try await first.ask(.register(register)).kind == .welcome)
        #expect(directory.users.withLock { $0[first.name]?.prekey } == published)
        let later = PublishedPrekey.test(24_323)
        for (prekey, recorded, updates) in [(nil, published, 0), (published, published, 0), (later, later, 1)] {
            let again = try await ControlClient(
                "alice", services, key: first.key)
            let login = ClientMessage.Login(id: c1, credentials: try again.credentials(.login), prekey: prekey)
            #expect(try await again.ask(.login(login)).kind == .welcome)
            #expect(directory.users.withLock { $0[first.name]?.prekey } == recorded)
            #expect(directory.updates.withLock { $0 } == updates)
            guard case .peer(let peer) = try await again.ask(.lookup(.init(id: c2, name: first.name))) else {
                return #expect(Bool(false))
            }
            #expect(peer.prekey == recorded)
        }
    }

    private enum BadLogin: CaseIterable {
        case otherSigner, otherAudience, otherNonce, otherPurpose, otherKey, unknownName
    }

    @Test(arguments: BadLogin.allCases)
    private func aLoginThatDoesNotHoldIsRefused(_ fault: BadLogin) async throws {
        let client = try await client("alice")
        let key = try #require(SigningKey(bytes: client.key.publicKey.rawRepresentation))
        let known = fault == .otherKey ? SigningKey.random() : key
        if fault != .unknownName {
            directory.users.withLock {
                $0[client.name] = User(name: client.name, key: known)
            }
        }
        let credentials =
            switch fault {
            case .otherSigner: try client.credentials(.login, signedBy: .init())
            case .otherAudience: try client.credentials(.login, audience: "other.example:8443")
            case .otherNonce: try client.credentials(.login, nonce: .random())
            case .otherPurpose: try client.credentials(.register)
            case .otherKey, .unknownName: try client.credentials(.login)
            }
        #expect(try await client.login(credentials) == .refusal(c1, .loginRefused))
        #expect(await client.closeCode() == 4401)
        #expect(services.broker.status.sessions == 0 && client.logins == 0)
    }

    @Test func aSignatureIsGoodForOneConnection() async throws {
        let first = try await open("alice")
        let second = try await client("alice")
        #expect(first.challenge.nonce != second.challenge.nonce)
        #expect(try await second.register(try first.credentials(.register)) == .refusal(c1, .loginRefused))
        #expect(await second.closeCode() == 4401)
    }

    @Test func refusalsOfTheRegistryArePassedOn() async throws {
        let alice = try await open("alice")
        let thief = try await client("alice")
        #expect(code(try await thief.register(try thief.credentials(.register))) == .nameTaken)
        let stranger = try await client("bob")
        let wrong = try #require(InvitationCode(rawValue: "wrong"))
        let refusal = try await stranger.register(try stranger.credentials(.register), invitation: wrong)
        #expect(code(refusal) == .badInvitation)
        directory.isBroken.withLock { $0 = true }
        let unlucky = try await client("carol")
        #expect(code(try await unlucky.register(try unlucky.credentials(.register))) == .unavailable)
        #expect(await unlucky.closeCode() == 4401)
        let lookup = ClientMessage.lookup(.init(id: c2, name: alice.name))
        #expect(code(try await alice.ask(lookup)) == .unavailable)
    }

    @Test func aLoginThatDoesNotComeInTimeEnds() async throws {
        let client = try await client("alice")
        await client.channel.testingEventLoop.advanceTime(by: .seconds(10))
        #expect(await client.closeCode() == 4401)
        let late = try await open("alice")
        await late.channel.testingEventLoop.advanceTime(by: .seconds(100))
        #expect(try await late.ask(.ping(.init(id: c2))) == .pong(.init(id: c2)))
    }

    @Test func beforeLoginNothingElseIsAllowed() async throws {
        let client = try await client("alice")
        #expect(code(try await client.ask(.ping(.init(id: c2)))) == .notNow)
        #expect(code(try await client.ask(.lookup(.init(id: c2, name: client.name)))) == .notNow)
        #expect(try await client.register(try client.credentials(.register)).kind == .welcome)
    }

    @Test func whatIsNoMessageIsAnswered() async throws {
        let client = try await open("alice")
        let cases: [(String, ServerMessage)] = [
            ("", .refusal(.unknown, .badMessage)), ("[]", .refusal(.unknown, .badMessage)),
            (#"{"type":"dance","id":"c2"}"#, .refusal(c2, .unknownType)),
            (#"{"type":"offer","id":"c2"}"#, .refusal(c2, .badMessage)),
        ]
        for (text, answer) in cases {
            try await client.channel.writeInbound(ByteBuffer(string: text))
            #expect(try await client.next() == answer)
        }
        var generator = SystemRandomNumberGenerator()
        for length in 0..<20 {
            let noise = (0..<length * 10).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            try await client.channel.writeInbound(ByteBuffer(bytes: noise))
            #expect(try await client.next() == .refusal(.unknown, .badMessage))
        }
    }

    @Test func whoSaysTooMuchWaitsAndLosesNothing() async throws {
        // The registration costs the user ten units.
        let client = try await ControlClient("alice", slow(burst: 18))
        #expect(try await client.register(try client.credentials(.register)).kind == .welcome)
        for _ in 0..<8 { #expect(try await client.ask(.ping(.init(id: c2))) == .pong(.init(id: c2))) }
        try await client.send(.ping(.init(id: c2)))
        #expect(try await client.holds() == [.hold])
        #expect(try await client.channel.readOutbound(as: ByteBuffer.self) == nil)
        await client.channel.testingEventLoop.advanceTime(by: .milliseconds(100))
        #expect(try await client.next() == .pong(.init(id: c2)))
        #expect(try await client.holds() == [.hold, .resume])
    }

    @Test func aNewConnectionHasNoNewBudget() async throws {
        let services = slow(burst: 18)
        let first = try await ControlClient("alice", services)
        #expect(try await first.register(try first.credentials(.register)).kind == .welcome)
        for _ in 0..<8 { _ = try await first.ask(.ping(.init(id: c2))) }
        try await first.channel.close()
        // The login costs the user ten units, and each takes 100 ms.
        let second = try await ControlClient("alice", services, key: first.key)
        try await second.send(.login(.init(id: c1, credentials: try second.credentials(.login))))
        try await second.untilHeldBack(services)
        #expect(try await second.channel.readOutbound(as: ByteBuffer.self) == nil)
        await second.channel.testingEventLoop.advanceTime(by: .milliseconds(1100))
        #expect(try await second.next().kind == .welcome)
    }

    @Test func whoSaysTooMuchBeforeALoginIsClosed() async throws {
        let client = try await client("alice")
        for _ in 0..<10 { #expect(code(try await client.ask(.ping(.init(id: c2)))) == .notNow) }
        try await client.send(.ping(.init(id: c2)))
        #expect(await client.closeCode() == 1008)
        #expect(services.reports.counts.met == [Limit(.messagesBeforeLogin, of: .connection): 1])
    }

    @Test func anAddressRegistersSoManyNamesADay() async throws {
        var services = services
        services.registration = .open
        services.newNames = NewNames(limit: 2)
        func registered(_ name: String, at place: String, key: Curve25519.Signing.PrivateKey = .init()) async throws
            -> ServerMessage
        {
            let client = try await ControlClient(name, services, at: place, key: key)
            return try await client.register(try client.credentials(.register))
        }
        let alice = Curve25519.Signing.PrivateKey()
        #expect(try await registered("alice", at: "192.0.2.1", key: alice).kind == .welcome)
        // What is refused for another reason, or is no new name, takes none of them.
        #expect(code(try await registered("alice", at: "192.0.2.1")) == .nameTaken)
        #expect(try await registered("alice", at: "192.0.2.1", key: alice).kind == .welcome)
        #expect(try await registered("bob", at: "192.0.2.1").kind == .welcome)
        guard case .error(let refusal) = try await registered("carol", at: "192.0.2.1") else {
            Issue.record("registered")
            return
        }
        #expect(refusal.code == .registrationClosed && refusal.message.contains("try again tomorrow"))
        #expect(services.reports.counts.met == [Limit(.names, of: .address): 1])
        #expect(try await registered("alice", at: "192.0.2.1", key: alice).kind == .welcome)
        #expect(try await registered("carol", at: "192.0.2.2").kind == .welcome)
        // An invitation is the operator's word.
        services.registration = .invite
        #expect(try await registered("dave", at: "192.0.2.1").kind == .welcome)
    }

    @Test func aFloodOfProgressEndsTheSession() async throws {
        var services = services
        services.budgets = MessageBudgets(user: .init(perSecond: 1_000_000, burst: 1_000_000))
        let client = try await ControlClient("alice", services)
        #expect(try await client.register(try client.credentials(.register)).kind == .welcome)
        let report = ClientMessage.progress(.init(id: c2, transfer: .random(), bytes: 1))
        for _ in 0...Defaults.Progress.mostDropped { try await client.send(report) }
        #expect(services.reports.counts.met.isEmpty)
        #expect(services.reports.counts.progressDropped == UInt64(Defaults.Progress.mostDropped))
        try await client.send(report)
        #expect(await client.closeCode() == 1008)
        #expect(services.reports.counts.met == [Limit(.progress, of: .session): 1])
    }

    /// Ten units a second for each user.
    private func slow(burst: Int64) -> ControlServices {
        var services = services
        services.budgets = MessageBudgets(user: .init(perSecond: 10, burst: burst))
        return services
    }

    @Test func twoClientsAgreeOnATransfer() async throws {
        let alice = try await open("alice")
        let bob = try await open("bob")
        #expect(try await bob.ask(.presence(.init(id: c2, receiving: true))) == .ok(.init(id: c2)))
        let transfer = TransferID.random()
        let payload = BrokerFixture.payload
        let offer = ClientMessage.Offer(id: c2, transfer: transfer, to: bob.name, wait: true, payload: payload)
        // Both at once: the second must not overtake the first, which waits for the registry.
        try await alice.send(.offer(offer))
        try await alice.send(.cancel(.init(id: .sequence(.client, 3), transfer: transfer, code: .cancelled)))
        #expect(try await alice.next() == .offered(.init(id: c2, transfer: transfer, state: .ringing)))
        #expect(try await alice.next() == .ok(.init(id: .sequence(.client, 3))))
        guard case .ring(let ring) = try await bob.next() else { return #expect(Bool(false)) }
        #expect(ring.from == alice.name && ring.payload == payload)
        #expect(try await bob.next().kind == .failed)

        #expect(try await alice.ask(.offer(offer)).kind == .offered)
        #expect(try await bob.next().kind == .ring)
        let accept = ClientMessage.Accept(id: .sequence(.client, 4), transfer: transfer, payload: payload)
        #expect(try await bob.ask(.accept(accept)).kind == .start)
        #expect(try await alice.next() == .offered(.init(id: c2, transfer: transfer, state: .accepted)))
        // The WebSocket is over, although the connection lingers for the close handshake.
        bob.channel.pipeline.fireUserInboundEventTriggered(WebSocketEvent.closed(code: 1000, reason: .peer("")))
        guard case .failed(let failed) = try await alice.next() else { return #expect(Bool(false)) }
        #expect(failed.code == .receiverGone)
    }

    @Test func anUnknownPeerIsNamed() async throws {
        let alice = try await open("alice")
        let bob = try #require(PeerName(rawValue: "bob"))
        let refusal = ServerMessage.refusal(c2, .unknownPeer, "no user here is called \"bob\"")
        #expect(try await alice.ask(.lookup(.init(id: c2, name: bob))) == refusal)
    }
}
