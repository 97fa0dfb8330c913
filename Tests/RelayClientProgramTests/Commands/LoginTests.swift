// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// `login` and `doctor` against a relay on a real socket.
@Suite(.timeLimit(.minutes(5))) struct LoginTests {
    private let fixture: ClientFixture
    private let folder: TemporaryDirectory

    init() throws {
        fixture = try ClientFixture()
        folder = try TemporaryDirectory()
    }

    private func serve(_ script: @escaping @Sendable (Int) -> [ScriptedServer.Step]) async throws -> ScriptedServer {
        try await ScriptedServer(fixture.server, script)
    }

    private func client(_ arguments: [String] = [], _ variables: [String: String] = [:]) throws -> Client {
        let base = ["RELAY_PROFILE": folder.file("profile"), "RELAY_CA": fixture.certificates.ca]
        let environment = Environment(variables: base.merging(variables) { _, other in other })
        return try Client(try GlobalOptions.parse(arguments), environment: environment, reporter: fixture.reporter)
    }

    private func login(_ server: ScriptedServer, _ arguments: String...) throws -> LoginCommand {
        try LoginCommand.parse(["https://127.0.0.1:\(server.port)", "--name", "alice"] + arguments)
    }

    // MARK: - The invitation

    /// Registers at `server`; the person has `answer` to the question, or no terminal where that is nil.
    private func register(
        _ server: ScriptedServer, _ invitation: InvitationCode? = nil, answer: String?? = nil
    ) async throws -> ClientError? {
        let expected = "Invitation for alice on https://127.0.0.1:\(server.port):"
        let registration = Registration(connector: try fixture.connector(server)) {
            guard let answer else { return nil }
            return { question in
                #expect(question == expected)
                return answer
            }
        }
        return await error(ClientError.self) { try await registration.register(invitation) }
    }

    /// A relay that wants an invitation first and takes the second registration.
    private func inviting() async throws -> ScriptedServer {
        let (refusal, session) = (try Scripts.refusal(.badInvitation, .register), try Scripts.session(.register))
        return try await serve { $0 == 1 ? refusal : session }
    }

    @Test func anInvitationIsAskedForOnlyWhereTheRelayWantsOne() async throws {
        let session = try Scripts.session(.register)
        let open = try await serve { _ in session }
        #expect(try await register(open, answer: .some(nil)) == nil && open.connections == 1)
        let server = try await inviting()
        // What a paste has put around it is left out.
        #expect(try await register(server, answer: .some(" secret-CODE\n")) == nil)
        #expect(server.connections == 2 && !server.heard[1].contains("invitation"))
        #expect(server.heard[3].contains(#""invitation":"secret-CODE""#))
        try await eventually("the connections to end") { server.ended == 2 && open.ended == 1 }
    }

    @Test func anInvitationThatWasGivenIsNotAskedForAgain() async throws {
        let server = try await inviting()
        let refused = try await register(server, InvitationCode(rawValue: "old"), answer: .some("new"))
        guard case .connection(let error)? = refused else { throw InVain(description: "\(refused as Any)") }
        #expect(error.code == .badInvitation && server.connections == 1)
    }

    @Test func anotherRefusalIsNotAskedAbout() async throws {
        let refusal = try Scripts.refusal(.nameTaken, .register)
        let server = try await serve { _ in refusal }
        let refused = try await register(server, answer: .some("code"))
        #expect(refused?.status == .refused && server.connections == 1)
    }

    @Test func withoutATerminalTheOptionIsNamed() async throws {
        let refused = try await register(try await inviting())
        #expect(refused?.status == .refused && refused?.description.contains("--invite CODE or RELAY_INVITE") == true)
    }

    @Test(arguments: [nil, "", "two words", String(repeating: "x", count: 65)])
    func anAnswerThatIsNoCodeIsNotSent(_ answer: String?) async throws {
        let server = try await inviting()
        let refused = try await register(server, answer: .some(answer))
        #expect(refused == .command("that is not an invitation; copy all of its code", .refused))
        #expect(server.connections == 1)
    }

    // MARK: - The command

    @Test func aLoginIsRemembered() async throws {
        let session = try Scripts.session(.register)
        let server = try await serve { _ in session }
        try await login(server).logIn(client(["--verbose"], ["RELAY_INVITE": "code", "RELAY_SERVER": "https://other"]))
        let profile = try Profile.load(directory: folder.file("profile"))
        #expect(profile.name == Samples.alice && profile.server == "https://127.0.0.1:\(server.port)")
        #expect(profile.caPath == fixture.certificates.ca && server.heard[1].contains(#""invitation":"code""#))
        let lines = try fixture.lines()
        #expect(lines[0].contains("logged in to https://127.0.0.1:\(server.port) as alice"))
        #expect(lines[1].contains("RELAY_SERVER names https://other, which other commands use instead"))
        #expect(lines.count == 2)
    }

    @Test func aLoginThatIsRefusedKeepsNothingButTheKeys() async throws {
        let refusal = try Scripts.refusal(.nameTaken, .register)
        let server = try await serve { _ in refusal }
        let refused = await error(ClientError.self) { try await login(server).logIn(client()) }
        #expect(refused?.status == .refused)
        #expect(try folder.names(in: "profile") == [".lock", "keys.json", "prekeys"])
    }

    @Test func whatCannotBeMeantIsRefusedBeforeAnyKeyIsMade() async throws {
        let server = try await serve { _ in [] }
        let command = try login(server, "--server", "https://other.example.com")
        let unclear = await error(ClientError.self) { try await command.logIn(client()) }
        #expect(unclear?.status == .usage && unclear?.description.contains("leave --server out") == true)
        let noCode = await error(ClientError.self) {
            try await login(server, "--invite", "not a code").logIn(client())
        }
        #expect(noCode?.status == .usage)
        let noCA = await error(ConnectionError.self) {
            try await login(server).logIn(client(["--ca", folder.file("none.pem")]))
        }
        #expect(noCA?.step == .settings && noCA?.status == .configuration)
        #expect(try folder.names().isEmpty && server.connections == 0)
    }

    @Test func aProfileOfAnotherNameIsNotTakenOver() async throws {
        let bob = try Profile.create(
            directory: folder.file("profile"), name: Samples.bob, server: "https://relay.example.com", caPath: nil
        )
        try bob.save()
        let server = try await serve { _ in [] }
        let refused = await error(ClientError.self) { try await login(server).logIn(client()) }
        #expect(
            refused?.status == .configuration
                && refused?.description.contains("is bob at https://relay.example.com already") == true)
        #expect(try Profile.load(directory: folder.file("profile")).name == Samples.bob)
    }

    @Test func aProfileOfAnotherRelayIsNotTakenOverUnlessItHasMoved() async throws {
        let alice = try Profile.create(
            directory: folder.file("profile"), name: Samples.alice, server: "https://relay.example.com", caPath: nil
        )
        try alice.save()
        let session = try Scripts.session(.register)
        let server = try await serve { _ in session }
        let refused = await error(ClientError.self) { try await login(server).logIn(client()) }
        #expect(refused?.status == .configuration && server.connections == 0)
        #expect(refused?.description.contains("is alice at https://relay.example.com already; use another") == true)
        #expect(refused?.description.contains("or say --moved") == true)
        try await login(server, "--moved").logIn(client())
        #expect(try Profile.load(directory: folder.file("profile")).server == "https://127.0.0.1:\(server.port)")
        // The same again is no other one.
        try await login(server).logIn(client())
    }

    // MARK: - Doctor

    /// The steps that `doctor` says, each with whether it is well, and the status that it ends with.
    private func examine(
        _ server: ScriptedServer?, _ arguments: String..., variables: [String: String] = [:]
    ) async throws -> (steps: [String], status: Int32) {
        if let server {
            try Profile.create(
                directory: folder.file("profile"), name: Samples.alice, server: "https://127.0.0.1:\(server.port)",
                caPath: fixture.certificates.ca
            ).save()
        }
        let before = try fixture.lines().count
        let client = try client(arguments, variables.merging(["RELAY_CA": ""]) { own, _ in own })
        let failed = await error(ExitCode.self) { try await DoctorCommand.parse(arguments).examine(client) }
        let steps = try fixture.lines().dropFirst(before).map { line in
            if line.hasPrefix("{") { return line }
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            return words[1] == "OK" ? "\(words[0])" : "\(words[0]) failed"
        }
        return (steps, failed?.rawValue ?? 0)
    }

    @Test func doctorSaysEveryStepThatIsWell() async throws {
        let session = try Scripts.session()
        let server = try await serve { _ in session }
        let (steps, status) = try await examine(server)
        #expect(steps == ["settings", "DNS", "TCP", "TLS", "certificate", "WebSocket", "login"] && status == 0)
        try await eventually("the connection to end") { server.ended == 1 }
    }

    @Test func doctorNamesTheStepThatFails() async throws {
        let refusal = try Scripts.refusal(.loginRefused)
        let scripts: [([ScriptedServer.Step], String, TransferClient.ExitStatus)] = [
            (refusal, "login failed", .refused), (Scripts.request + [.close], "WebSocket failed", .unreachable),
            ([Scripts.clientHello, .say("220 mail\r\n")], "TLS failed", .protocolBreach),
        ]
        for (script, last, expected) in scripts {
            let (steps, status) = try await examine(try await serve { _ in script })
            #expect(steps.last == last && status == expected.rawValue)
            #expect(steps.count { $0.hasSuffix("failed") } == 1)
        }
    }

    @Test func doctorSaysWhatIsWellOnTheWayToTCPAndToTheCertificate() async throws {
        let port = try ReservedPort()
        let server = try await serve { _ in [.tls] }
        let (steps, status) = try await examine(server, "--server", "https://127.0.0.1:\(port.number)")
        #expect(steps == ["settings", "DNS", "TCP failed"] && status == TransferClient.ExitStatus.unreachable.rawValue)
        let other = try TestCertificates()
        let (more, refused) = try await examine(server, "--ca", other.ca)
        #expect(more == ["settings", "DNS", "TCP", "TLS", "certificate failed"])
        #expect(refused == TransferClient.ExitStatus.refused.rawValue)
    }

    @Test func doctorWithoutAProfileSaysSo() async throws {
        let (steps, status) = try await examine(nil)
        #expect(steps == ["settings failed"] && status == TransferClient.ExitStatus.configuration.rawValue)
    }

    @Test func doctorWritesAnObjectForEachStep() async throws {
        let (steps, _) = try await examine(nil, "--json")
        #expect(steps.count == 1)
        #expect(steps[0].hasPrefix(#"{"schema":1,"event":"step","ok":false,"step":"settings","text":"#))
    }
}
