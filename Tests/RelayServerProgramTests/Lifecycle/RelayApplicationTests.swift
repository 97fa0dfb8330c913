// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOCore
import NIOPosix
import RelayNode
import ServerSystem
import TestSupport
import Testing

@testable import RelayServerProgram

@Suite("One server from its start to its end")
struct RelayApplicationTests {
    private let temporary: TemporaryDirectory
    private let certificates: TestCertificates
    private let configuration: ServerConfiguration

    init() throws {
        (temporary, certificates) = (try TemporaryDirectory(), try TestCertificates())
        var configuration = ServerConfiguration(
            certificate: CertificateFiles(chain: certificates.server, key: certificates.serverKey),
            stateDirectory: temporary.file("state"))
        configuration.listen = [ListenAddress(host: "127.0.0.1", port: 0)]
        configuration.metricsListen = .off
        configuration.pidFile = temporary.file("pid")
        self.configuration = configuration
    }

    private func application(
        _ configuration: ServerConfiguration, _ write: @escaping @Sendable (String) -> Void = { _ in }
    ) -> RelayApplication {
        let logger = Logger(label: "test") { _ in LineLogHandler(level: .notice, format: .text, write: write) }
        return RelayApplication(
            configuration: configuration, log: ServerLog(logger: logger), descriptorLimit: 1000, trapsSignals: false,
            inherited: InheritedSockets(), read: { () throws(OperatorError) in configuration },
            manager: ServiceManager(variables: [:]), watchdog: Watchdog(variables: [:]), takesOver: false, report: nil)
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    @Test("serves until it is drained, and leaves neither the admin socket nor the process id behind")
    func serves() async throws {
        let (lines, written) = AsyncStream.makeStream(of: String.self)
        let application = application(configuration) { written.yield($0) }
        async let end: Void = {
            defer { written.finish() }
            try await application.run()
        }()
        for await line in lines where line.contains("listening") { break }
        let client = AdminClient(stateDirectory: configuration.stateDirectory)
        guard case .status(let status) = try await client.ask(.status) else {
            Issue.record("no status")
            return
        }
        #expect(status.state == .serving)
        #expect(status.listen.count == 1)
        #expect(exists(temporary.file("pid")))
        _ = try await client.ask(.drain)
        try await end
        #expect(!exists(temporary.file("pid")))
        #expect(!exists(temporary.file("state/admin.sock")))
    }

    @Test("one that may do everything on the machine says so, and no other", arguments: [true, false])
    func root(isRoot: Bool) async throws {
        let (lines, written) = AsyncStream.makeStream(of: String.self)
        var application = application(configuration) { written.yield($0) }
        application.isRoot = isRoot
        let server = application
        async let end: Void = {
            defer { written.finish() }
            try await server.run()
        }()
        var warnings = 0
        for await line in lines {
            if line.contains("is root") { warnings += 1 }
            if line.contains("listening") { break }
        }
        #expect(warnings == (isRoot ? 1 : 0))
        _ = try await AdminClient(stateDirectory: configuration.stateDirectory).ask(.drain)
        try await end
    }

    @Test("a process id that cannot be written stops every part again")
    func noProcessID() async throws {
        var configuration = configuration
        configuration.pidFile = temporary.file("missing/pid")
        let application = application(configuration)
        let error = await #expect(throws: OperatorError.self) { try await application.run() }
        #expect(error?.status == .cannotCreate)
        #expect(!exists(temporary.file("state/admin.sock")))
    }

    @Test("an address that is taken ends the start before anything is served")
    func takenAddress() async throws {
        let other = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        var configuration = configuration
        configuration.listen = [ListenAddress(host: "127.0.0.1", port: UInt16(other.localAddress?.port ?? 0))]
        let application = application(configuration)
        let error = await #expect(throws: OperatorError.self) { try await application.run() }
        try await other.close()
        #expect(error?.status == .unavailable)
        #expect(!exists(temporary.file("pid")))
        #expect(!exists(temporary.file("state/admin.sock")))
    }
}
