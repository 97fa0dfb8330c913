// SPDX-License-Identifier: Apache-2.0

import Crypto
import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import Testing
import TransferBroker
import WSProtocol
import WebSocketTransport

@testable import RelayNode

/// A users' registry in memory, which can be made to fail.
final class FakeDirectory: UserDirectory {
    struct Broken: Error {}

    let users = Mutex<[PeerName: User]>([:])
    let isBroken = Mutex(false)
    /// How often something was to be recorded.
    let updates = Mutex(0)
    static let invitation = InvitationCode(rawValue: "right")!

    private func check() throws { if isBroken.withLock({ $0 }) { throw Broken() } }

    func user(named name: PeerName) async throws -> User? {
        try check()
        return users.withLock { $0[name] }
    }

    func register(_ user: User, invitation: InvitationCode?) async throws -> RegistrationOutcome {
        try check()
        return users.withLock { users in
            if let owner = users[user.name], owner.key != user.key { return .nameTaken }
            if users[user.name] == nil, invitation != Self.invitation { return .badInvitation }
            users[user.name] = users[user.name]?.updated(by: user) ?? user
            return .registered
        }
    }

    func update(_ latest: User) async throws -> Bool {
        try check()
        updates.withLock { $0 += 1 }
        return users.withLock { users in
            guard let user = users[latest.name], user.key == latest.key else { return false }
            users[latest.name] = user.updated(by: latest)
            return true
        }
    }
}

/// Catches what the handler asks of the WebSocket in front of it.
private final class CloseRecorder: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    private let codes: AsyncStream<UInt16>.Continuation
    /// What it was asked but for closing.
    var holds: [WebSocketCommand] = []

    init(_ codes: AsyncStream<UInt16>.Continuation) { self.codes = codes }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        switch event as? WebSocketCommand {
        case .close(let code)?: codes.yield(code)
        case let command?: holds.append(command)
        case nil: break
        }
    }
}

/// A number that a handler counts up.
private final class LoginCount: Sendable {
    let value = Mutex(0)
}

/// A client's end of a control connection whose relay's end is a `ControlHandler`.
final class ControlClient: Sendable {
    let key: Curve25519.Signing.PrivateKey
    let name: PeerName
    let channel: NIOAsyncTestingChannel
    let challenge: ServerMessage.Challenge
    private let closes: AsyncStream<UInt16>
    private let counted = LoginCount()
    /// How often the relay's end said that a login holds.
    var logins: Int { counted.value.withLock { $0 } }

    static let audience = "relay.example:8443"

    init(
        _ name: String, _ services: ControlServices, at place: String? = nil,
        key: Curve25519.Signing.PrivateKey = .init()
    ) async throws {
        self.key = key
        self.name = PeerName(rawValue: name)!
        let (closes, continuation) = AsyncStream.makeStream(of: UInt16.self)
        self.closes = closes
        channel = NIOAsyncTestingChannel()
        try await channel.connect(to: SocketAddress(unixDomainSocketPath: "/test")).get()
        try await channel.testingEventLoop.submit { [channel, counted] in
            let handler = ControlHandler(
                services: services, audience: Self.audience, client: ClientAddress(text: "test", share: place),
                loggedIn: { counted.value.withLock { $0 += 1 } }
            )
            try channel.pipeline.syncOperations.addHandlers([CloseRecorder(continuation), handler])
        }.get()
        let text = try await channel.waitForOutboundWrite(as: ByteBuffer.self)
        guard case .challenge(let challenge) = try MessageCodec.decodeServerMessage(text).get() else {
            throw FakeDirectory.Broken()
        }
        self.challenge = challenge
    }

    func credentials(
        _ purpose: Credentials.Purpose, nonce: Nonce? = nil, audience: String = audience,
        signedBy signer: Curve25519.Signing.PrivateKey? = nil
    ) throws -> Credentials {
        let signed = Credentials.signedBytes(
            purpose: purpose, audience: audience, name: name, nonce: nonce ?? challenge.nonce
        )
        return Credentials(
            name: name, key: SigningKey(bytes: key.publicKey.rawRepresentation)!,
            signature: LoginSignature(bytes: try (signer ?? key).signature(for: signed))!,
            agent: Label(clipping: "test")
        )
    }

    func send(_ message: ClientMessage) async throws {
        try await channel.writeInbound(try MessageCodec.encode(message))
    }

    func ask(_ message: ClientMessage) async throws -> ServerMessage {
        try await send(message)
        return try await next()
    }

    /// How the relay's end has stopped reading, and gone on.
    func holds() async throws -> [WebSocketCommand] {
        try await channel.testingEventLoop.submit { [channel] in
            try channel.pipeline.syncOperations.handler(type: CloseRecorder.self).holds
        }.get()
    }

    /// Waits until the relay's end waits for the budget.
    func untilHeldBack(_ services: ControlServices) async throws {
        while services.reports.counts.heldBack == 0 {
            try Task.checkCancellation()
            await channel.testingEventLoop.run()
            await Task.yield()
        }
    }

    /// The next thing the relay says.
    func next() async throws -> ServerMessage {
        try MessageCodec.decodeServerMessage(try await channel.waitForOutboundWrite(as: ByteBuffer.self)).get()
    }

    /// The code the relay closes with.
    func closeCode() async -> UInt16? {
        for await code in closes { return code }
        return nil
    }

    func register(_ credentials: Credentials, invitation: InvitationCode? = FakeDirectory.invitation) async throws
        -> ServerMessage
    {
        try await ask(.register(.init(id: .sequence(.client, 1), credentials: credentials, invitation: invitation)))
    }

    func login(_ credentials: Credentials) async throws -> ServerMessage {
        try await ask(.login(.init(id: .sequence(.client, 1), credentials: credentials)))
    }
}
