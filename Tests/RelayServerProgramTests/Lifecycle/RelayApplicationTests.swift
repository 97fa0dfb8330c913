// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import RelayNode
import ServerSystem
import Synchronization
import TestSupport
import Testing

@testable import RelayServerProgram

@Suite struct RelayApplicationTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A node that cannot serve in the end lets the others know: they would wait for it until its place expires.
    @Test(arguments: ["admin.sock", "pid file"]) func whoeverCannotServeLeavesTheCluster(fault: String) async throws {
        let (certificates, temporary) = (try TestCertificates(), try TemporaryDirectory())
        var configuration = ServerConfiguration(
            certificate: CertificateFiles(chain: certificates.server, key: certificates.serverKey),
            stateDirectory: temporary.path)
        configuration.metricsListen = .off
        if fault == "pid file" {
            configuration.pidFile = temporary.file("missing/pid")
        } else {
            // The first says that the folder is a relay's.
            for name in ["lock", "admin.sock"] { try temporary.write(Data(), to: name) }
        }
        let hasLeft = Mutex(false)
        let application = RelayApplication(
            configuration: configuration, logger: Self.logger, descriptorLimit: 100, trapsSignals: false
        ) { _ in
            var parts = ServerParts(
                listeners: [], broker: BrokerService(logger: Self.logger), beginDrain: {}, whenEmpty: { $0() })
            parts.leaveCluster = { hasLeft.withLock { $0 = true } }
            return parts
        }
        await #expect(throws: OperatorError.self) { try await application.run() }
        #expect(hasLeft.withLock { $0 })
    }
}
