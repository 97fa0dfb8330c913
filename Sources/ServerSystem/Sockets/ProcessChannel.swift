// SPDX-License-Identifier: Apache-2.0

private import CProcess
import Glibc
package import NIOCore
package import PrivateFiles
import Synchronization

/// A connection between two processes of one machine: lines of text, and open descriptors that come with them. Its
/// calls block the thread.
package final class ProcessChannel: Sendable {
    /// One line, and what came with it. Who receives descriptors closes them.
    package struct Message: Sendable {
        package var line: String
        package var descriptors: [CInt]
    }

    private let socket: CInt
    /// What came behind the last line.
    private let rest = Mutex<[UInt8]>([])

    /// - Parameter socket: a connected stream socket, which this closes.
    package init(socket: CInt) { self.socket = socket }

    deinit { close(socket) }

    /// Connects to the socket at `path`.
    package convenience init(path: String) throws(SystemError) {
        guard let address = UnixAddress.make(path) else { throw SystemError(code: ENAMETOOLONG) }
        let socket = try SystemError.check {
            Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        }
        do {
            try SystemError.check { unsafe UnixAddress.use(address) { unsafe connect(socket, $0, $1) } }
        } catch {
            close(socket)
            throw error
        }
        self.init(socket: socket)
    }

    /// The process at the other end, and whether it runs as this one's user; nil when the system does not say.
    package var peer: (process: Int32, isOwn: Bool)? {
        var peer = CProcess_peer()
        guard unsafe CProcess_peer(socket, &peer) == 0 else { return nil }
        return (peer.pid, peer.uid == geteuid())
    }

    /// Sends `line` and a line feed, and copies of `descriptors`. Throws when the other end, which may be there and
    /// read nothing, takes no byte for ``SystemDefaults/sendSeconds``.
    package func send(_ line: String, descriptors: [CInt] = []) throws(SystemError) {
        var limit = timeval(tv_sec: SystemDefaults.sendSeconds, tv_usec: 0)
        _ = unsafe setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var bytes = Array((line + "\n").utf8)[...]
        var left = descriptors
        while !bytes.isEmpty {
            let count = try SystemError.check {
                unsafe bytes.withUnsafeBytes { bytes in
                    unsafe left.withUnsafeBufferPointer { left in
                        unsafe CProcess_send(socket, bytes.baseAddress, bytes.count, left.baseAddress, left.count)
                    }
                }
            }
            bytes = bytes.dropFirst(count)
            left = []
        }
    }

    /// The next line; nil when the other end is gone, has said nothing within `time`, or says too much, or passes more
    /// descriptors with it than can be sent at once.
    package func receive(within time: TimeAmount) -> Message? {
        var limit = timeval(tv_sec: Int(time.nanoseconds / 1_000_000_000), tv_usec: 0)
        _ = unsafe setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var bytes = rest.withLock { rest in
            defer { rest = [] }
            return rest
        }
        var descriptors: [CInt] = []
        while true {
            if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: bytes[..<end], as: UTF8.self)
                let behind = Array(bytes[(end + 1)...])
                rest.withLock { $0 = behind }
                return Message(line: line, descriptors: descriptors)
            }
            guard bytes.count < SystemDefaults.reportSize, let piece = receivePiece() else { break }
            bytes += piece.bytes
            descriptors += piece.descriptors
            guard descriptors.count <= Int(CProcess_most_descriptors) else { break }
        }
        for descriptor in descriptors { close(descriptor) }
        return nil
    }

    private func receivePiece() -> (bytes: [UInt8], descriptors: [CInt])? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        var descriptors = [CInt](repeating: -1, count: Int(CProcess_most_descriptors))
        var found = 0
        let count = try? SystemError.check {
            unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe descriptors.withUnsafeMutableBufferPointer { descriptors in
                    unsafe CProcess_receive(socket, bytes.baseAddress, bytes.count, descriptors.baseAddress, &found)
                }
            }
        }
        guard let count, count > 0 else { return nil }
        return (Array(buffer.prefix(count)), Array(descriptors.prefix(found)))
    }
}

/// Waits for processes at a path. Its calls block the thread.
package final class ProcessListener: Sendable {
    package let path: String
    private let socket: CInt

    /// Makes the socket at `path`, in place of what is there, for this user alone.
    package init(path: String) throws(SystemError) {
        unsafe unlink(path)
        socket = try UnixAddress.listen(path, backlog: 4)
        self.path = path
    }

    deinit { close(socket) }

    /// The next process; nil once ``stop()`` was called.
    package func accept() -> ProcessChannel? {
        while true {
            do {
                let accepted = try SystemError.check { Glibc.accept(socket, nil, nil) }
                _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
                return ProcessChannel(socket: accepted)
            } catch {
                guard error.code == ECONNABORTED else { return nil }
            }
        }
    }

    /// Lets ``accept()`` return.
    package func stop() { shutdown(socket, CInt(SHUT_RDWR)) }
}
