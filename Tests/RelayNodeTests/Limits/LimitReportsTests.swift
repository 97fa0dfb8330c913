// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayTestFixtures
import Synchronization
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite struct LimitReportsTests {
    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    private struct Recorder: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let words = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            lines.all.withLock { $0.append(words.joined(separator: " ")) }
        }
    }

    @Test func eachLimitIsLoggedAtOnceAndThenNowAndThen() {
        let lines = Lines()
        let reports = LimitReports(logger: Logger(label: "test") { _ in Recorder(lines: lines) })
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let limit = Limit(.messages, of: .user)
        for step in 0..<150 {
            reports.heldBack(
                for: .milliseconds(2), by: limit, name: PeerName(rawValue: "alice"), address: "192.0.2.1",
                now: start + .milliseconds(Int64(step) * 100)
            )
        }
        reports.met(Limit(.unauthenticated, of: .address), address: "192.0.2.1", now: start)
        let rest = "limit=messages name=alice remote=192.0.2.1 scope=user"
        #expect(
            lines.all.withLock { $0 } == [
                "count=1 \(rest)", "count=100 \(rest)", "count=1 limit=unauthenticated remote=192.0.2.1 scope=address",
            ]
        )
        #expect(reports.counts.met == [limit: 150, Limit(.unauthenticated, of: .address): 1])
        #expect(reports.counts.heldBack == 300_000_000)
    }

    @Test("a limit that is met by an address of this machine comes with a hint, once", arguments: ["127.0.0.1", "::1"])
    func local(address: String) throws {
        let lines = Lines()
        let reports = LimitReports(logger: Logger(label: "test") { _ in Recorder(lines: lines) })
        let admission = Admission(
            descriptorLimit: 100, unauthenticatedPerAddress: 1,
            unauthenticatedPace: AddressLimit.standard.unauthenticatedPace, reports: reports)
        let client = try SocketAddress(ipAddress: address, port: 1)
        let leases = (0..<3).map { _ in admission.connectionOpened(from: client).1 }
        let share = address == "::1" ? "0:0:0:0::/64" : address
        #expect(lines.all.withLock { $0.count { $0 == "remote=\(share)" } } == 1)
        for lease in leases { lease.drop() }
    }

    @Test func everyLimitIsListedOnce() {
        #expect(Set(Limit.allCases).count == Limit.allCases.count)
    }
}
