// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// Control connections for a session, and what an interrupt does to those that are being made.
@Suite(.timeLimit(.minutes(5))) struct ControlConnectorTests {
    private let client: ClientFixture

    init() throws { client = try ClientFixture() }

    @Test func aConnectionIsMadeAfterItsPause() async throws {
        let session = try Scripts.session()
        let server = try await ScriptedServer(client.server) { _ in session }
        let connector = try client.connector(server)
        let before = NIODeadline.now()
        let line = try await connector.connect(after: .milliseconds(30))
        #expect(NIODeadline.now() - before >= .milliseconds(30) && server.connections == 1)
        await line.close()
        try await eventually("the connection to end") { server.ended == 1 }
    }

    @Test func whatTheRelayRefusesIsTheCause() async throws {
        let refusal = try Scripts.refusal(.tooManySessions)
        let server = try await ScriptedServer(client.server) { _ in refusal }
        let connector = try client.connector(server)
        let failed = await error(ClientError.self) { _ = try await connector.logIn() }
        guard case .connection(let cause)? = failed else { throw InVain(description: "\(failed as Any)") }
        #expect(cause.code == .tooManySessions && cause.summary.contains("alice"))
    }

    @Test func anInterruptEndsAPauseAndNothingIsDialled() async throws {
        let server = try await ScriptedServer(client.server) { _ in [] }
        let connector = try client.connector(server)
        client.interrupt.interrupt()
        let failed = await error(ClientError.self) { _ = try await connector.connect(after: .hours(1)) }
        #expect(failed == .interrupted && server.connections == 0)
    }

    @Test func anInterruptDoesNotWaitForASilentRelay() async throws {
        let server = try await ScriptedServer(client.server) { _ in Scripts.request }
        let connector = try client.connector(server)
        async let failed = error(ClientError.self) { _ = try await connector.logIn() }
        try await eventually("the upgrade") { server.heard.count == 1 }
        client.interrupt.interrupt()
        #expect(await failed == .interrupted)
    }

    @Test func aLoginPublishesThePrekeyOfTheMonth() async throws {
        let session = try Scripts.session()
        let server = try await ScriptedServer(client.server) { _ in session }
        try await client.connector(server).logIn().close()
        let prekey = try client.sealing.prekeys.current(name: Samples.alice, now: Samples.now)
            .prekey(signedBy: client.identity.signingKey)
        let key = try #require(prekey.published).key.rawValue
        let said = try #require(server.heard.last)
        #expect(said.contains("\"prekey\":{") && said.contains(key) && said.contains("\(prekey.epoch.number)"))
        #expect(try client.lines().isEmpty)
    }

    /// No other profile can send to it then, but it can send.
    @Test func aProfileWhosePrekeysAreDamagedLogsInWithoutAndIsTold() async throws {
        let session = try Scripts.session()
        let server = try await ScriptedServer(client.server) { _ in session }
        try client.damagePrekeys()
        try await client.connector(server).logIn().close()
        #expect(try !#require(server.heard.last).contains("prekey"))
        #expect(try client.events() == ["warning"])
    }

    @Test func aSessionIsOfTheIdentitysName() async throws {
        let server = try await ScriptedServer(client.server) { _ in [] }
        let environment = try client.connector(server).environment
        #expect(try environment.name == Samples.alice && environment.relay == server.relay)
    }
}
