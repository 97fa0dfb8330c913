// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import NIOCore
import NIOPosix
import Synchronization
import TLSTransport
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// What a client needs to talk to a ``ScriptedServer``.
struct ClientFixture {
    /// One authority for all tests.
    private static let shared = Result { try TestCertificates() }

    let certificates: TestCertificates
    /// What a server begins TLS with.
    let server: TLSContext
    let identity: Identity
    let sealing: SealingParty
    let interrupt = InterruptSignal()
    private let reports: TemporaryDirectory
    let reporter: Reporter
    /// The steps that were passed, in their order.
    let steps = Steps()

    final class Steps: Sendable {
        private let passed = Mutex<[ConnectionStep]>([])
        var all: [ConnectionStep] { passed.withLock { $0 } }
        fileprivate func add(_ step: ConnectionStep) { passed.withLock { $0.append(step) } }
    }

    init() throws {
        certificates = try Self.shared.get()
        server = try TLSContext.server(
            certificateChain: certificates.server, privateKey: certificates.serverKey,
            applicationProtocols: ["http/1.1"]
        )
        identity = Identity(name: Samples.alice, signingKey: .init())
        reports = try TemporaryDirectory()
        let profile = reports.file("profile")
        sealing = SealingParty(
            name: identity.name, signingKey: identity.signingKey, prekeys: PrekeyStore(profile),
            peers: PeerStore(profile), attempts: AttemptStore(profile), time: { Samples.now }
        )
        let file = try OpenFile(reports.file("reports"), flags: O_CREAT | O_WRONLY | O_APPEND, mode: 0o600)
        reporter = Reporter(mode: .json, output: file.descriptor, errors: file.descriptor)
        self.file = file
    }

    private let file: OpenFile

    /// The profile's file of prekeys is none.
    func damagePrekeys() throws {
        _ = try sealing.prekeys.current(name: identity.name, now: Samples.now)
        try reports.write(Data("damaged".utf8), to: "profile/prekeys")
    }

    /// Every line that was reported.
    func lines() throws -> [String] {
        try String(contentsOfFile: reports.file("reports"), encoding: .utf8).split(separator: "\n").map(String.init)
    }

    /// The names of the events that were reported.
    func events() throws -> [String] {
        try lines().compactMap { line in
            line.firstRange(of: "\"event\":\"").map { line[$0.upperBound...].prefix { $0 != "\"" } }.map(String.init)
        }
    }

    /// - Parameters:
    ///   - variables: those that name a proxy.
    ///   - timing: shorter ones than usual, where the end of the time is what is tested.
    func dialer(
        _ variables: [String: String] = [:], timing: Dialer.Timing = .init(), trusting ca: String? = nil
    ) throws -> Dialer {
        let steps = steps
        return Dialer(
            proxies: ProxySettings(environment: variables),
            tls: try TLSContext.client(trust: .file(ca ?? certificates.ca), applicationProtocols: ["http/1.1"]),
            group: MultiThreadedEventLoopGroup.singleton, observer: { step, _ in steps.add(step) }, timing: timing
        )
    }

    func connector(_ server: ScriptedServer) throws -> ControlConnector {
        ControlConnector(
            relay: try server.relay, dialer: try dialer(), identity: identity, sealing: sealing,
            records: TransferRecords(reports.file("profile")), reporter: reporter, interrupt: interrupt,
            home: EventLoopExecutor(MultiThreadedEventLoopGroup.singleton.any())
        )
    }
}

/// The error of this kind that `body` ends with; nil when it ends with none.
func error<Failure: Error>(_: Failure.Type, _ body: () async throws -> Void) async -> Failure? {
    do {
        try await body()
        return nil
    } catch {
        return error as? Failure
    }
}

/// Scripts, and what they are made of.
enum Scripts {
    /// A handshake of TLS begins.
    static let clientHello = ScriptedServer.Step.read(until: "\u{16}")
    static let endOfHead = ScriptedServer.Step.read(until: "\r\n\r\n")
    /// A request has come over TLS.
    static let request: [ScriptedServer.Step] = [.tls, endOfHead]
    /// The same up to an open WebSocket.
    static let webSocket: [ScriptedServer.Step] = request + [.webSocket]
    /// The nonce of each challenge.
    static let nonce = Nonce.random()

    static func upgrade(accept: String, _ fields: String = "Sec-WebSocket-Protocol: relay.v1\r\n") -> String {
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + "Sec-WebSocket-Accept: \(accept)\r\n\(fields)\r\n"
    }

    /// An answer with this body.
    static func answer(_ status: String, _ body: String = "") -> ScriptedServer.Step {
        .say("HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    static func message(_ message: ServerMessage) throws -> ScriptedServer.Step {
        .say(String(buffer: try MessageCodec.encode(message)))
    }

    static func challenge() throws -> ScriptedServer.Step {
        let agent = try #require(Label(rawValue: "test"))
        return try message(
            .challenge(.init(id: .sequence(.relay, 1), nonce: nonce, agent: agent, registration: .invite)))
    }

    /// A relay up to the credentials, as which of the two messages they come.
    static func credentials(_ kind: ClientMessage.Kind = .login) throws -> [ScriptedServer.Step] {
        webSocket + [try challenge(), .read(until: "\"type\":\"\(kind.rawValue)\"}")]
    }

    /// A relay that lets alice in.
    static func session(_ kind: ClientMessage.Kind = .login) throws -> [ScriptedServer.Step] {
        let session = try #require(Label(rawValue: "1"))
        let welcome = ServerMessage.Welcome(
            id: .sequence(.client, 1), name: Samples.alice, session: session, heartbeat: 20
        )
        return try credentials(kind) + [message(.welcome(welcome))]
    }

    /// A relay that does not let anyone in, and says this.
    static func refusal(_ code: FailureCode, _ kind: ClientMessage.Kind = .login) throws -> [ScriptedServer.Step] {
        try credentials(kind) + [message(.error(.init(id: .sequence(.client, 1), code: code, message: "no")))]
    }
}
