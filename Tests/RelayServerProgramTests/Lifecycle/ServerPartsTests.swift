// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import RelayNode
import ServerSystem
import TLSTransport
import TestSupport
import Testing
import WSProtocol

@testable import RelayServerProgram

@Suite("The parts of a server")
struct ServerPartsTests {
    @Test("every part that is there has its place in the order, clients last")
    func everyPart() async throws {
        let (temporary, certificates) = (try TemporaryDirectory(), try TestCertificates())
        var configuration = ServerConfiguration(
            certificate: CertificateFiles(chain: certificates.server, key: certificates.serverKey),
            stateDirectory: temporary.file("state"))
        configuration.listen = [ListenAddress(host: "127.0.0.1", port: 0)]
        configuration.metricsListen = .chosen(ListenAddress(host: "127.0.0.1", port: 0))
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let directory = try StateDirectory(path: configuration.stateDirectory)
        let reports = LimitReports(logger: logger)
        let tickets = TicketKeys()
        let context = ServerContext(
            configuration: configuration, group: MultiThreadedEventLoopGroup.singleton,
            accepting: MultiThreadedEventLoopGroup.singleton,
            tls: Replaceable(try configuration.certificate.load(tickets: tickets)),
            certificates: Replaceable(try CertificateInventory(configuration)),
            users: try FileUserDirectory(file: RegistryFile(directory: directory), mode: .open, repaired: { _ in }),
            traffic: NoTrafficStore(), cluster: nil,
            admission: Admission(
                descriptorLimit: 1000, unauthenticatedPerAddress: nil,
                unauthenticatedPace: AddressLimit.standard.unauthenticatedPace, reports: reports),
            reports: reports,
            log: ServerLog(logger: logger),
            descriptorLimit: 1000, accepts: AcceptWatch(limit: 1000, logger: logger), tickets: tickets,
            inherited: InheritedSockets(), manager: ServiceManager(variables: [:]),
            read: { [configuration] () throws(OperatorError) in configuration }, loops: LoopWatch(logger: logger)
        )
        let parts = try await ServerComposition(context, directory, drainTimeout: .seconds(1)).parts
        // One of a cluster has one more.
        let all = Mirror(reflecting: parts).children.count { $0.label != "cluster" }
        #expect(parts.startOrder.parts.count == all)
        #expect(parts.startOrder.parts.first is MetricsListener)
        #expect(parts.startOrder.parts.last is ClientListeners)
        try await parts.startOrder.run {}
    }
}
