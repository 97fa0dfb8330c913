// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The three standard streams, for programs whose results stand on standard output: what could not be written there was
/// not done.
package enum StandardStream {
    /// A result could not be written.
    package struct Lost: Error, Hashable, Sendable, CustomStringConvertible {
        /// The value of `errno`.
        package let code: CInt

        /// What happened, for a user, with the system's reason.
        package var description: String {
            let reason = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
            return "cannot write to standard output (\(reason)), so the answer is lost"
        }
    }

    /// To be called before anything else is opened: makes sure that the numbers 0, 1 and 2 are taken, so that what is
    /// meant for a stream that the caller has closed (`>&-`) never lands in a file or a connection that was given its
    /// number; and that a reader, or a peer, that leaves is an error of the write, not the end of the process.
    package static func secure() {
        for (descriptor, flags) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
        where fcntl(descriptor, F_GETFD) == -1 {
            // The lowest free number is this one. Opened the wrong way round, every use of it still fails.
            _ = unsafe open("/dev/null", flags)
        }
        signal(SIGPIPE, SIG_IGN)
    }

    /// Whether nothing can be written to `descriptor`, because the parent process has closed it.
    package static func isClosed(_ descriptor: CInt = STDOUT_FILENO) -> Bool {
        let flags = fcntl(descriptor, F_GETFL)
        return flags == -1 || flags & O_ACCMODE == O_RDONLY
    }

    /// Whether `descriptor` is a terminal, where progress can be drawn, and which content must not be poured into.
    package static func isTerminal(_ descriptor: CInt) -> Bool { isatty(descriptor) == 1 }

    /// Writes all of `text`, through short writes, interruptions and a pipe that is full for now.
    /// - Throws: ``Lost`` when not all of it could be written.
    package static func write(_ text: String, to descriptor: CInt = STDOUT_FILENO) throws(Lost) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
                continue
            }
            let code = errno
            switch code {
            case EINTR: continue
            case EAGAIN:
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard unsafe poll(&waiting, 1, -1) >= 0 || errno == EINTR else { throw Lost(code: errno) }
            default: throw Lost(code: code)
            }
        }
    }
}
