// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Logging
import NIOCore
import NIOEmbedded
import NIOPosix
import PrivateFiles
import Synchronization
import Testing

@testable import ServerSystem

@Suite("When nothing can be accepted")
struct AcceptWatchTests {
    @Test("each of accept's errors has its remedy")
    func faults() {
        let expected: [(CInt, AcceptFault?)] = [
            (EMFILE, .descriptors), (ENFILE, .machineDescriptors), (ENOBUFS, .memory), (ENOMEM, .memory),
            (ECONNABORTED, .aborted), (EBADF, nil), (EINVAL, nil),
        ]
        for (code, fault) in expected { #expect(AcceptFault(errno: code) == fault) }
        let remedies: [AcceptFault: AcceptFault.Remedy] = [
            .descriptors: .turnAway, .machineDescriptors: .turnAway, .memory: .pause, .aborted: .goOn,
        ]
        for fault in AcceptFault.allCases { #expect(fault.remedy == remedies[fault]) }
    }

    @Test("who waits is closed by means of the spare descriptor, a bounded number at once")
    func turnsAway() throws {
        let (listener, port) = try Self.listener()
        defer { close(listener) }
        let clients = try (0..<3).map { _ in try Self.connect(to: port) }
        defer { for client in clients { close(client) } }
        let spare = SpareDescriptor()
        #expect(spare.turnAway(at: listener, atMost: 2) == 2)
        #expect(spare.turnAway(at: listener, atMost: 2) == 1)
        #expect(spare.turnAway(at: listener, atMost: 2) == 0)
        for client in clients {
            var byte: UInt8 = 0
            #expect(read(client, &byte, 1) == 0)
        }
    }

    @Test("the log says once a minute how many were turned away; a listener rests only when it could turn none away")
    func says() throws {
        let (listener, port) = try Self.listener()
        defer { close(listener) }
        let (lines, clock) = (Lines(), ManualClock())
        let watch = AcceptWatch(limit: 77, logger: lines.logger, clock: { clock.now.withLock { $0 } })
        #expect(watch.failed(.descriptors, at: listener))
        let clients = try (0..<3).map { _ in try Self.connect(to: port) }
        defer { for client in clients { close(client) } }
        #expect(!watch.failed(.descriptors, at: listener))
        #expect(!watch.failed(.aborted, at: listener))
        #expect(lines.all.count == 1)
        clock.now.withLock { $0 = $0 + SystemDefaults.acceptLogInterval }
        #expect(watch.failed(.descriptors, at: -1))
        #expect(watch.failed(.memory, at: listener))
        let said = lines.all
        try #require(said.count == 3)
        #expect(said[0].contains("out of file descriptors") && said[0].contains("LimitNOFILE="))
        #expect(said[0].hasSuffix("count=0") && said[1].hasSuffix("count=3"))
        #expect(said[2].contains("no memory for new connections"))
        #expect(watch.counts.failed == [.descriptors: 3, .aborted: 1, .memory: 1])
    }

    @Test("a listener that cannot accept reads again after its rest")
    func rests() {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let (watch, loop) = (AcceptWatch(limit: 77, logger: logger), EmbeddedEventLoop())
        let channel = EmbeddedChannel(handler: AcceptFaultHandler(watch), loop: loop)
        // An embedded channel only keeps what is set.
        let isReading = { channel.options.last?.value as? Bool ?? true }
        for fault in [ENFILE, ENOMEM] {
            channel.pipeline.fireErrorCaught(IOError(errnoCode: fault, reason: "accept"))
            channel.pipeline.fireErrorCaught(IOError(errnoCode: fault, reason: "accept"))
            #expect(!isReading())
            loop.advanceTime(by: SystemDefaults.acceptPause)
            #expect(isReading())
        }
        channel.pipeline.fireErrorCaught(IOError(errnoCode: ECONNABORTED, reason: "accept"))
        #expect(isReading())
        #expect(watch.counts.failed == [.machineDescriptors: 2, .memory: 2, .aborted: 1])
    }

    @Test("open descriptors are counted")
    func counts() throws {
        let descriptors = OpenDescriptors()
        let before = try #require(descriptors.count)
        // Other tests open and close at the same time: many more than they do.
        let files = (0..<500).map { _ in open("/dev/null", O_RDONLY | O_CLOEXEC) }
        #expect(try #require(descriptors.count) > before + 250)
        for file in files { close(file) }
    }

    /// A socket that listens on a port of the system's choice and does not block.
    private static func listener() throws -> (socket: CInt, port: in_port_t) {
        let listener = try SystemError.check {
            socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
        }
        var address = Self.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                try SystemError.check { bind(listener, pointer, length) }
                try SystemError.check { listen(listener, 16) }
                try SystemError.check { getsockname(listener, pointer, &length) }
            }
        }
        return (listener, address.sin_port)
    }

    private static func connect(to port: in_port_t) throws -> CInt {
        let client = try SystemError.check { socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0) }
        var address = Self.address(port)
        try withUnsafePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                _ = try SystemError.check {
                    Glibc.connect(client, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        return client
    }

    private static func address(_ port: in_port_t) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        return address
    }
}

private final class ManualClock: Sendable {
    let now = Mutex(NIODeadline.uptimeNanoseconds(1))
}

/// A log that keeps what is said at warning and above.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.warning

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let count = event.metadata?[LogKeys.count].map { " count=\($0)" } ?? ""
            lines.lines.withLock { $0.append("\(event.message)\(count)") }
        }
    }
}
