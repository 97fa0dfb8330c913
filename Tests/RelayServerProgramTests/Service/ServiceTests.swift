// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import ServerSystem
import TestSupport
import Testing
import WSProtocol

@testable import RelayServerProgram

@Suite("The process as a service")
struct ServiceTests {
    @Test("the watchdog is told twice as often as the manager wants, and only for this process")
    func watchdog() {
        func interval(_ variables: [String: String]) -> TimeAmount? {
            Watchdog(variables: variables, process: 7).interval
        }
        #expect(interval([:]) == nil)
        #expect(interval(["WATCHDOG_USEC": "30000000"]) == .seconds(15))
        #expect(interval(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"]) == .seconds(15))
        #expect(interval(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"]) == nil)
        for wrong in ["", "0", "1", "-5", "x", "9223372036854775807"] {
            #expect(interval(["WATCHDOG_USEC": wrong]) == nil, "\(wrong)")
        }
    }

    @Test("sockets of the manager are taken by their names, and only for this process")
    func sockets() throws {
        let temporary = try TemporaryDirectory()
        func take(
            _ names: String, count: String = "1", process: String = "7"
        ) throws(OperatorError) -> InheritedSockets {
            // Each is closed with what took it.
            let descriptor = (try? UnixAddress.listen(temporary.file(UUID().uuidString), backlog: 1)) ?? -1
            let variables = ["LISTEN_PID": process, "LISTEN_FDS": count, "LISTEN_FDNAMES": names]
            return try SocketActivation.take(variables: variables, process: 7, first: descriptor)
        }
        #expect(try take("https").chosen(.https).count == 1)
        #expect(try take("http").chosen(.http).count == 1)
        #expect(try take("metrics").chosen(.metrics).count == 1)
        for name in ["", "unknown", "relay-server.socket"] {
            #expect(try take(name).chosen(.https).count == 1, "\(name)")
        }
        #expect(try take("https", process: "8").chosen(.https).isEmpty)
        for count in ["0", "-1", "x", "99999"] { #expect(try take("https", count: count).chosen(.https).isEmpty) }
        let error = #expect(throws: OperatorError.self) { _ = try take("smtp") }
        #expect(error?.status == .configuration && error?.message.contains("smtp") == true)
    }

    @Test("a descriptor that is no listening socket is refused")
    func noSocket() {
        let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        let variables = ["LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "https"]
        #expect(throws: OperatorError.self) {
            _ = try SocketActivation.take(variables: variables, process: 7, first: descriptor)
        }
    }

    @Test("a new process of an older version, which is ready for no names, is understood")
    func older() throws {
        let ready = try #require(StrictJSON.decode(HandoverMessage.self, from: #"{"ready":{}}"#.utf8))
        #expect(ready == .ready(takesNames: nil))
        #expect(
            try StrictJSON.decode(HandoverMessage.self, from: StrictJSON.encode(HandoverMessage.yours).utf8) == .yours)
    }

    @Test("a pid file is locked while its process lives, and says which one it is")
    func pidFile() throws {
        let temporary = try TemporaryDirectory()
        let path = temporary.file("pid")
        var first: PIDFile? = PIDFile(path: path)
        try first?.write()
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "\(getpid())\n")
        let second = PIDFile(path: path)
        let error = #expect(throws: OperatorError.self) { try second.check() }
        #expect(error?.status == .unavailable && error?.message.contains("process \(getpid()) ") == true)
        // Who takes this one's place may.
        try second.write(predecessor: getpid())
        // What has to be done before it is there was not done.
        let fourth = PIDFile(path: temporary.file("other"))
        #expect(throws: OperatorError.self) {
            try fourth.write { throw OperatorError(.refused, "it goes on") }
        }
        #expect(try temporary.names() == ["pid"])
        // Its lock ends with it: the file is stale.
        first = nil
        let third = PIDFile(path: path)
        #expect(throws: OperatorError.self) { try third.check() }
        second.remove()
        try third.write()
    }

    @Test("lines that found no room are counted, and the first that does says so")
    func fullDisk() throws {
        let temporary = try TemporaryDirectory()
        let path = temporary.file("log")
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
        let sink = try LogSink(path: path)
        for word in ["one\n", "two\n"] { sink.write(word) }
        #expect(sink.lostLines == 2)
        try FileManager.default.removeItem(atPath: path)
        try sink.reopen()
        sink.write("three\n") { "lost \($0)\n" }
        sink.write("four\n") { "lost \($0)\n" }
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text == "lost 2\nthree\nfour\n")
        #expect(sink.lostLines == 2)
    }
}
