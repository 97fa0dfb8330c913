// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// The three pipes of a child process. No other child inherits them, so that their ends are seen: that is what
/// Foundation's `Process` does not promise when several start at once.
struct SpawnedPipes: Sendable {
    /// Our end of the child's standard input.
    let input: Int32
    private let output: Int32
    private let errors: Int32
    /// The child's ends: standard input, output, error.
    private let child: [Int32]

    /// Makes the pipes.
    init() throws {
        // A child that has gone must show as an error of `write`, not as the end of the tests.
        Foundation.signal(SIGPIPE, SIG_IGN)
        let (first, second, third) = try Self.starting.withLock { _ in
            (try Self.pipe(), try Self.pipe(), try Self.pipe())
        }
        (input, output, errors) = (first.write, second.read, third.read)
        child = [first.read, second.write, third.write]
    }

    /// Held while pipes are made and while a child starts: a pipe is inheritable for a moment.
    private static let starting = Mutex(())

    private static func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard Foundation.pipe(&ends) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EMFILE) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// Starts the program; its ends of the pipes are its own afterwards. Returns its process id.
    func spawn(_ command: [String], environment: [String: String], directory: String?) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
            for descriptor in child { close(descriptor) }
        }
        for (number, descriptor) in child.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
        }
        // Nothing else of this process: a socket or pipe of another test must not live on in a child of this one.
        for descriptor in Int32(3)..<1024 { posix_spawn_file_actions_addclose(&actions, descriptor) }
        var defaults = sigset_t()
        sigemptyset(&defaults)
        sigaddset(&defaults, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        var blocked = sigset_t()
        sigemptyset(&blocked)
        posix_spawnattr_setsigmask(&attributes, &blocked)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        let place = directory.map { ["env", "-C", $0] } ?? []
        var words = (place + command).map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for word in words + variables { free(word) } }
        var identifier: pid_t = 0
        let program = place.first ?? command[0]
        let result = Self.starting.withLock { _ in
            posix_spawnp(&identifier, program, &actions, &attributes, &words, &variables)
        }
        guard result == 0 else {
            for descriptor in [input, output, errors] { close(descriptor) }
            throw POSIXError(POSIXErrorCode(rawValue: result) ?? .ENOENT)
        }
        return identifier
    }

    /// Hands over what the child writes until both outputs have ended. Blocks until then.
    func readAll(_ take: (_ data: Data, _ isError: Bool) -> Void) {
        var open = [pollfd(fd: output, events: Int16(POLLIN), revents: 0)]
        open.append(pollfd(fd: errors, events: Int16(POLLIN), revents: 0))
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !open.isEmpty {
            guard poll(&open, nfds_t(open.count), -1) > 0 || errno == EINTR else { break }
            for entry in open where entry.revents != 0 {
                let count = read(entry.fd, &buffer, buffer.count)
                if count > 0 {
                    take(Data(buffer[..<count]), entry.fd == errors)
                } else {
                    close(entry.fd)
                    open.removeAll { $0.fd == entry.fd }
                }
            }
        }
    }

    /// Waits for the end of a child: its exit status, or the number of the signal that ended it.
    static func status(of identifier: Int32) -> Int32 {
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) < 0 { guard errno == EINTR else { return -1 } }
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : signal
    }
}
