// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import NIOCore
import PrivateFiles
import ServerSystem
import TestSupport
import Testing

@Suite("Connections between processes")
struct ProcessChannelTests {
    private let temporary: TemporaryDirectory
    private let listener: ProcessListener

    init() throws {
        temporary = try TemporaryDirectory()
        listener = try ProcessListener(path: temporary.file("socket"))
    }

    /// Both ends of a connection.
    private func pair() throws -> (ProcessChannel, ProcessChannel) {
        let client = try ProcessChannel(path: listener.path)
        return (client, try #require(listener.accept()))
    }

    @Test("lines arrive one by one, and descriptors with theirs")
    func lines() throws {
        let (client, server) = try pair()
        let file = temporary.file("file")
        try "content".write(toFile: file, atomically: false, encoding: .utf8)
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        try client.send("one", descriptors: [descriptor, descriptor])
        close(descriptor)
        try client.send("two")
        let first = try #require(server.receive(within: .seconds(5)))
        #expect(first.line == "one" && first.descriptors.count == 2)
        let handle = FileHandle(fileDescriptor: try #require(first.descriptors.first), closeOnDealloc: true)
        #expect(try handle.readToEnd() == Data("content".utf8))
        for descriptor in first.descriptors.dropFirst() { close(descriptor) }
        #expect(server.receive(within: .seconds(5))?.line == "two")
    }

    @Test("what is no line is nothing: an end, silence, and too much")
    func noLine() throws {
        let (client, server) = try pair()
        #expect(server.receive(within: .seconds(1)) == nil)
        try client.send(String(repeating: "x", count: 20_000))
        #expect(server.receive(within: .seconds(5)) == nil)
        var other: ProcessChannel? = try ProcessChannel(path: listener.path)
        let end = try #require(listener.accept())
        _ = other?.peer
        other = nil
        #expect(end.receive(within: .seconds(5)) == nil)
    }

    @Test("an end that is there and reads nothing does not hold the other one up")
    func nothingIsRead() throws {
        let (client, server) = try pair()
        #expect(throws: SystemError.self) { try client.send(String(repeating: "x", count: 4 << 20)) }
        #expect(server.peer?.isOwn == true)
    }

    @Test("the other end is known, and the socket is private")
    func peer() throws {
        let (client, server) = try pair()
        #expect(server.peer?.process == getpid() && server.peer?.isOwn == true)
        #expect(client.peer?.isOwn == true)
        #expect(try TemporaryDirectory.mode(of: listener.path) == 0o600)
    }

    @Test("a listener that is stopped accepts nobody")
    func stop() async throws {
        let listener = listener
        async let none = withCheckedContinuation { continuation in
            DispatchQueue(label: "accept").async { continuation.resume(returning: listener.accept() == nil) }
        }
        listener.stop()
        #expect(await none)
    }

    @Test("inherited sockets are taken once, by purpose and address")
    func inherited() throws {
        let descriptors = try (0..<3).map { try UnixAddress.listen(temporary.file("s\($0)"), backlog: 1) }
        let sockets = InheritedSockets([
            .init(purpose: .https, address: "a:1", descriptor: descriptors[0]),
            .init(purpose: .https, address: nil, descriptor: descriptors[1]),
            .init(purpose: .http, address: "a:1", descriptor: descriptors[2]),
        ])
        #expect(descriptors.allSatisfy { InheritedSockets.isListening($0) })
        #expect(sockets.take(.https, "a:2") == nil)
        #expect(sockets.take(.https, "a:1") == descriptors[0])
        #expect(sockets.take(.https, "a:1") == nil)
        #expect(sockets.chosen(.https) == [descriptors[1]])
        #expect(sockets.chosen(.https).isEmpty)
        sockets.closeRest()
        #expect(sockets.take(.http, "a:1") == nil)
        // It is closed, and refuses.
        #expect(throws: (any Error).self) { _ = try ProcessChannel(path: temporary.file("s2")) }
        close(descriptors[0])
        close(descriptors[1])
    }
}
