// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// Upgrade and login at a relay on a real socket, and each way in which the relay does not do its part.
@Suite(.timeLimit(.minutes(5))) struct ControlConnectionTests {
    typealias Step = ScriptedServer.Step

    private let client: ClientFixture

    init() throws { client = try ClientFixture() }

    private func serve(_ steps: [Step]) async throws -> ScriptedServer {
        try await ScriptedServer(client.server) { _ in steps }
    }

    private func open(
        _ server: ScriptedServer, _ mode: LoginMode = .login, timing: Dialer.Timing = .init()
    ) async throws -> ControlConnection {
        let dialer = try client.dialer(timing: timing)
        return try await ControlConnection.open(server.relay, dialer: dialer, identity: client.identity, mode: mode)
    }

    /// What opening a connection to a relay that does this ends with.
    private func refusal(_ steps: [Step], timing: Dialer.Timing = .init()) async throws -> ConnectionError {
        let server = try await serve(steps)
        let refused = await error(ConnectionError.self) { _ = try await open(server, timing: timing) }
        try await eventually("the connection to end") { server.ended == 1 }
        return try #require(refused)
    }

    // MARK: - What is said

    @Test func theUpgradeAsksForTheSubprotocol() async throws {
        let server = try await serve(try Scripts.session())
        _ = try await open(server)
        let head = server.heard[0].split(separator: "\r\n").map(String.init)
        #expect(head[0] == "GET /ws HTTP/1.1")
        #expect(head.contains("Host: 127.0.0.1:\(server.port)") && head.contains("Sec-WebSocket-Version: 13"))
        #expect(head.contains("Sec-WebSocket-Protocol: relay.v1") && head.contains("User-Agent: \(ClientAgent.text)"))
        let key = try #require(head.first { $0.hasPrefix("Sec-WebSocket-Key: ") })
        #expect(key.utf8.count == "Sec-WebSocket-Key: ".utf8.count + 24)
        #expect(client.steps.all == [.dns, .tcp, .tls, .certificate, .webSocket, .login])
    }

    @Test func theLoginIsSignedForThisRelayAndItsChallenge() async throws {
        let server = try await serve(try Scripts.session())
        _ = try await open(server)
        guard case .success(.login(let login)) = MessageCodec.decodeClientMessage(ByteBuffer(string: server.heard[1]))
        else { throw InVain(description: "no login: \(server.heard[1])") }
        try expectSignature(of: login.credentials, for: .login, at: "127.0.0.1:\(server.port)")
    }

    @Test func aRegistrationCarriesItsInvitation() async throws {
        let code = try #require(InvitationCode(rawValue: "abc-DEF_1"))
        for invitation in [code, nil] {
            let server = try await serve(try Scripts.session(.register))
            _ = try await open(server, .register(invitation))
            let text = ByteBuffer(string: server.heard[1])
            guard case .success(.register(let register)) = MessageCodec.decodeClientMessage(text) else {
                throw InVain(description: "no registration: \(server.heard[1])")
            }
            #expect(register.invitation == invitation)
            try expectSignature(of: register.credentials, for: .register, at: "127.0.0.1:\(server.port)")
        }
    }

    private func expectSignature(
        of credentials: Credentials, for purpose: Credentials.Purpose, at audience: String
    ) throws {
        #expect(credentials.name == Samples.alice)
        #expect(Array(credentials.key.bytes) == Array(client.identity.signingKey.publicKey.rawRepresentation))
        let signed = Credentials.signedBytes(
            purpose: purpose, audience: audience, name: Samples.alice, nonce: Scripts.nonce
        )
        #expect(client.identity.signingKey.publicKey.isValidSignature(credentials.signature.bytes, for: signed))
    }

    // MARK: - An open connection

    @Test func messagesGoBothWaysAndIdsAreNotUsedTwice() async throws {
        let pong = try Scripts.message(.pong(.init(id: .sequence(.client, 3))))
        let server = try await serve(try Scripts.session() + [.read(until: "\"ping\"}"), pong])
        let connection = try await open(server)
        // The login has used the first.
        #expect(connection.nextID() == .sequence(.client, 2))
        connection.post(.ping(.init(id: connection.nextID())))
        var messages = connection.messages.makeAsyncIterator()
        #expect(try await messages.next() == .pong(.init(id: .sequence(.client, 3))))
        #expect(server.heard.last == #"{"id":"c3","type":"ping"}"#)
    }

    @Test func closingSaysGoodbyeAndEndsTheMessages() async throws {
        let server = try await serve(try Scripts.session())
        let connection = try await open(server)
        await connection.close()
        try await eventually("the connection to end") { server.ended == 1 }
        let end = await error(ConnectionError.self) { for try await _ in connection.messages {} }
        #expect(end == ConnectionError(closed: 1000, reason: .local, relay: try server.relay))
    }

    @Test func theEndOfTheConnectionIsBehindItsMessages() async throws {
        let pong = try Scripts.message(.pong(.init(id: .sequence(.client, 7))))
        for end in [Step.close, .cut] {
            let server = try await serve(try Scripts.session() + [pong, end])
            let connection = try await open(server)
            var messages: [ServerMessage] = []
            let lost = await error(ConnectionError.self) {
                for try await message in connection.messages { messages.append(message) }
            }
            #expect(messages.count == 1 && lost?.step == .session && lost?.isTemporary == true)
        }
    }

    @Test func nothingCanBeSentOnAConnectionThatIsGone() async throws {
        let server = try await serve(try Scripts.credentials())
        let connection = try await ControlConnection.upgrade(server.relay, dialer: client.dialer())
        connection.abort()
        _ = await error(ConnectionError.self) { for try await _ in connection.messages {} }
        let lost = await error(ConnectionError.self) {
            try await connection.send(.ping(.init(id: connection.nextID())))
        }
        #expect(lost?.step == .login && lost?.isTemporary == true)
    }

    // MARK: - A relay that does not upgrade

    @Test(arguments: [
        (
            "503 Service Unavailable", #"{"code":"draining","message":"x"}"#, TransferClient.ExitStatus.unreachable,
            FailureCode?.some(.draining)
        ),
        ("503 Service Unavailable", "", .unreachable, .unavailable), ("502 Bad Gateway", "<html>", .unreachable, nil),
        ("401 Unauthorized", "", .refused, nil), ("404 Not Found", "", .protocolBreach, nil),
        ("200 OK", "hello", .protocolBreach, nil),
    ])
    func anotherAnswerIsARefusal(
        _ status: String, _ body: String, _ exit: TransferClient.ExitStatus, _ code: FailureCode?
    ) async throws {
        let refused = try await refusal(Scripts.request + [Scripts.answer(status, body)])
        #expect(refused.step == .webSocket && refused.status == exit && refused.code == code)
        #expect(refused.isTemporary == (exit == .unreachable))
        #expect(refused.summary.contains("status \(status.prefix(3))"))
    }

    @Test(arguments: [
        // Of another key, and without or with another protocol, and with an extension that was not asked for.
        Scripts.upgrade(accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ])
    func anUpgradeThatIsNoneIsRefused(_ answer: String) async throws {
        let refused = try await refusal(Scripts.request + [.say(answer)])
        #expect(refused.step == .webSocket && refused.status == .protocolBreach && !refused.isTemporary)
    }

    @Test func aRelayThatClosesInsteadMayBeTriedAgain() async throws {
        for end in [Step.close, .cut] {
            let refused = try await refusal(Scripts.request + [end])
            #expect(refused.step == .webSocket && refused.isTemporary)
            #expect(refused.summary.hasSuffix("closed the connection instead of answering the upgrade"))
        }
    }

    @Test(arguments: [[], [Step.say("HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\n")]])
    func anAnswerIsNotWaitedForWithoutEnd(_ steps: [Step]) async throws {
        let refused = try await refusal(Scripts.request + steps, timing: .init(login: .milliseconds(50)))
        #expect(refused.step == .webSocket && refused.summary.hasSuffix("does not answer the upgrade"))
    }

    // MARK: - A relay that does not log in

    @Test(arguments: [
        (FailureCode.loginRefused, TransferClient.ExitStatus.refused, "with an invitation", false),
        (.nameTaken, .refused, "choose another name", false),
        (.registrationClosed, .refused, "ask the relay's operator", false),
        (.tooManySessions, .refused, "the relay says: no", true), (.draining, .gaveUp, "try again", true),
        (.internalError, .unreachable, "try again", true),
    ])
    func aRefusalSaysWhatToDo(
        _ code: FailureCode, _ status: TransferClient.ExitStatus, _ advice: String, _ isTemporary: Bool
    ) async throws {
        let refused = try await refusal(Scripts.refusal(code))
        #expect(refused.step == .login && refused.code == code && refused.status == status)
        #expect(refused.advice.contains(advice) && refused.isTemporary == isTemporary)
        #expect(!client.steps.all.contains(.login))
    }

    @Test func whatIsNotExpectedIsABreach() async throws {
        let ok = try Scripts.message(.ok(.init(id: .sequence(.client, 1))))
        let welcome = ServerMessage.Welcome(
            id: .sequence(.client, 9), name: Samples.alice, session: try #require(Label(rawValue: "1")), heartbeat: 20
        )
        let breaches = [
            Scripts.webSocket + [ok], try Scripts.credentials() + [ok],
            try Scripts.credentials() + [Scripts.challenge()],
            // The answer to another request.
            try Scripts.credentials() + [Scripts.message(.welcome(welcome))],
            Scripts.webSocket + [.say("{}")],
        ]
        for steps in breaches {
            let refused = try await refusal(steps)
            #expect(refused.step == .login && refused.status == .protocolBreach && !refused.isTemporary)
        }
    }

    @Test func aConnectionThatEndsMeanwhileIsALoginThatFailed() async throws {
        for steps in [Scripts.webSocket + [.close], try Scripts.credentials() + [.cut]] {
            let refused = try await refusal(steps)
            #expect(refused.step == .login && refused.isTemporary && refused.status == .unreachable)
        }
    }

    @Test func aLoginIsNotWaitedForWithoutEnd() async throws {
        for steps in [Scripts.webSocket, try Scripts.credentials()] {
            let refused = try await refusal(steps, timing: .init(login: .seconds(1)))
            #expect(refused.step == .login && refused.summary.hasSuffix("does not answer the login"))
        }
    }
}
