// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import TestSupport

@testable import RelayServerProgram
@testable import ServerSystem

/// What another process says to a relay, or to one that is to take its place: bytes, and open descriptors with them.
enum HandoverDecoder {
    /// Each record is sent at once: `u8 how ‖ u16 length ‖ bytes`. Six bits of `how` are the descriptors that come
    /// with it, in pairs; one says that it is sent many times over.
    static let messages = FuzzedDecoder(
        "handover", longest: 3_000, of: .records(lengthBytes: 2, prefix: .bytes(1)),
        sources: [
            "ServerSystem/Sockets/ProcessChannel.swift", "RelayServerProgram/Handover/HandoverMessage.swift",
            "RelayServerProgram/Handover/Takeover.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        let choice = reader.byte()
        let copies = try DescriptorCopies()
        let sent = try Sent(&reader, copies)
        if choice & 1 == 0 {
            try hears(sent, overPath: choice & 2 != 0)
        } else {
            try takesOver(sent)
        }
        try place(sent.bytes)
        try hold(copies.areClosed(), "descriptors that stay open")
    }

    /// Lines, as they were sent, and descriptors that all come with one of them, or are closed.
    private static func hears(_ sent: Sent, overPath: Bool) throws {
        let (channel, other) = try overPath ? connection() : pair()
        let count = sent.send(to: other)
        shutdown(other, CInt(SHUT_WR))
        var rest = sent.bytes.prefix(count)
        while let message = channel.receive(within: .seconds(5)) {
            for descriptor in message.descriptors { close(descriptor) }
            let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
            try hold(message.line == String(decoding: rest[..<end], as: UTF8.self), "another line: \(message.line)")
            try hold(message.descriptors.count <= 64, "\(message.descriptors.count) descriptors of one line")
            rest = rest[end...].dropFirst()
            // What it says again is what was heard.
            guard let heard = message.handover else { continue }
            let (again, reader) = try pair()
            try ProcessChannel(socket: reader).tell(heard)
            try hold(again.hear(within: .seconds(5)) == heard, "\(heard) is another one when it is said again")
        }
        let isLong = (rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex) - rest.startIndex >= 16_384
        try hold(rest.isEmpty || isLong || !rest.contains(UInt8(ascii: "\n")) || sent.isCrowded, "a line is not heard")
        close(other)
        try hold((try? channel.tell(.serving)) == nil, "a message to a process that is gone")
    }

    /// All that a process says whose place another one takes.
    private static func takesOver(_ sent: Sent) throws {
        let (channel, other) = try pair()
        _ = sent.send(to: other)
        shutdown(other, CInt(SHUT_WR))
        defer { close(other) }
        do throws(OperatorError) {
            let takeover = try Takeover(asking: channel, at: "/run/restart.sock")
            defer { close(takeover.lock) }
            do throws(OperatorError) {
                _ = try takeover.claim()
                try takeover.complete()
            } catch {
                takeover.failed(error)
                throw error
            }
        } catch {
            try hold(!"\(error)".utf8.contains { $0 < 0x20 }, "an error of two lines: \(error)")
        }
    }

    /// A place at which no relay serves, or that is no path.
    private static func place(_ bytes: [UInt8]) throws {
        let folder = try TemporaryDirectory()
        let name = String(decoding: bytes.prefix(200).filter { $0 != 0 && $0 != UInt8(ascii: "/") }, as: UTF8.self)
        try hold((try? Takeover(stateDirectory: folder.file(name))) == nil, "a relay where there is none")
    }

    private static func pair() throws -> (ProcessChannel, CInt) {
        var sockets: [CInt] = [-1, -1]
        guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &sockets) == 0 else {
            throw Broken(description: "no sockets")
        }
        return (ProcessChannel(socket: sockets[0]), sockets[1])
    }

    /// The same by a name in a folder.
    private static func connection() throws -> (ProcessChannel, CInt) {
        let folder = try TemporaryDirectory()
        defer { withExtendedLifetime(folder) {} }
        let listener = try ProcessListener(path: folder.file("s"))
        let socket = Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard let address = UnixAddress.make(listener.path) else { throw Broken(description: "no address") }
        try hold(UnixAddress.use(address) { connect(socket, $0, $1) } == 0, "no connection")
        guard let accepted = listener.accept() else { throw Broken(description: "no process is accepted") }
        try hold(accepted.peer.map { $0.isOwn && $0.process == getpid() } == true, "another process")
        try hold(try ProcessChannel(path: listener.path).peer?.isOwn == true, "another process")
        _ = listener.accept()
        listener.stop()
        try hold(listener.accept() == nil, "a process is accepted behind the end")
        return (accepted, socket)
    }
}

/// What is sent: bytes, and how many descriptors with which of them.
private struct Sent {
    private var parts: [(bytes: [UInt8], descriptors: Int)] = []
    private let copies: DescriptorCopies

    var bytes: [UInt8] { parts.flatMap(\.bytes) }
    /// Whether there may be more descriptors than one line can have.
    var isCrowded: Bool { parts.reduce(0) { $0 + $1.descriptors } > 64 }

    init(_ reader: inout InputReader, _ copies: DescriptorCopies) throws {
        self.copies = copies
        // As many as a process may have on their way, and as the kernel keeps of what is not read yet.
        var (descriptors, room) = (140, 60_000)
        while !reader.rest.isEmpty {
            let how = reader.byte()
            let bytes = reader.bytes(reader.short())
            for _ in 0..<(how & 0x80 == 0 ? 1 : 20) where !bytes.isEmpty && bytes.count <= room {
                let count = min(2 * Int(how & 0x3F), descriptors)
                parts.append((bytes, count))
                (descriptors, room) = (descriptors - count, room - bytes.count)
            }
        }
    }

    /// Sends as much of it as there is room for; returns how many bytes that was.
    func send(to socket: CInt) -> Int {
        var sent = 0
        for part in parts {
            let count = copies.send(part.bytes, part.descriptors, to: socket)
            sent += max(0, count)
            guard count == part.bytes.count else { break }
        }
        return sent
    }
}

/// A pipe whose one end is sent in copies: when all of them are closed, the other end says so.
private final class DescriptorCopies {
    private let readEnd: CInt
    private var writeEnd: CInt

    init() throws {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Broken(description: "no pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(readEnd)
        if writeEnd >= 0 { close(writeEnd) }
    }

    /// Whether all of them are closed. A child that another test starts has copies for as long as it takes to begin.
    func areClosed() -> Bool {
        close(writeEnd)
        writeEnd = -1
        var waiting = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 5_000) == 1 && waiting.revents & Int16(POLLHUP) != 0
    }

    /// Sends `bytes` with `count` copies, more than this package's own processes send.
    func send(_ bytes: [UInt8], _ count: Int, to socket: CInt) -> Int {
        var bytes = bytes
        var control = [Int](repeating: 0, count: 2 + (count + 1) / 2)
        control[0] = 16 + 4 * count
        return bytes.withUnsafeMutableBytes { bytes in
            var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
            return withUnsafeMutablePointer(to: &part) { part in
                control.withUnsafeMutableBytes { control in
                    control.storeBytes(of: SOL_SOCKET, toByteOffset: 8, as: CInt.self)
                    control.storeBytes(of: CInt(SCM_RIGHTS), toByteOffset: 12, as: CInt.self)
                    for index in 0..<count {
                        control.storeBytes(of: writeEnd, toByteOffset: 16 + 4 * index, as: CInt.self)
                    }
                    var message = msghdr()
                    (message.msg_iov, message.msg_iovlen) = (part, 1)
                    if count > 0 {
                        (message.msg_control, message.msg_controllen) = (control.baseAddress, control.count)
                    }
                    return sendmsg(socket, &message, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
                }
            }
        }
    }
}
