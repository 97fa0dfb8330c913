// SPDX-License-Identifier: Apache-2.0

import CProcess
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

    @Test("a line that brings more descriptors than are sent at once is nothing, and they are closed")
    func tooManyDescriptors() throws {
        var ends: [CInt] = [-1, -1]
        try #require(unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let channel = ProcessChannel(socket: ends[0])
        var passed: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        try #require(unsafe socketpair(AF_UNIX, kind, 0, &passed) == 0)
        let most = [CInt](repeating: passed[1], count: Int(CProcess_most_descriptors))
        for _ in 0..<2 {
            let sent = unsafe most.withUnsafeBufferPointer { most in
                unsafe CProcess_send(ends[1], "x", 1, most.baseAddress, most.count)
            }
            #expect(sent == 1)
        }
        #expect(channel.receive(within: .seconds(5)) == nil)
        close(passed[1])
        // Nothing has its other end any more.
        var byte: UInt8 = 0
        #expect(unsafe read(passed[0], &byte, 1) == 0)
        close(passed[0])
        close(ends[1])
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

    @Test("a listener that is stopped accepts no connection")
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
