// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import Glibc
import ServerSystem
import Synchronization

/// How a process was started that another copy of this program waits for, and the pipe on which it tells it how its
/// start went.
///
/// It exists before any thread does: ``claim()`` is called first of all.
final class StartReport: Sendable {
    /// Why the process was started.
    enum Purpose: String, Sendable {
        /// For `--daemonize`: to serve without a terminal.
        case daemon
        /// For `restart`: to take the place of the process that started it.
        case successor
    }

    /// The environment variable that says so. It is gone once it is read.
    static let variable = "RELAY_STARTED_AS"
    /// What is told when the server serves.
    static let ready = "ready"

    let purpose: Purpose
    private let pipe: Mutex<CInt>

    private init(_ purpose: Purpose) {
        self.purpose = purpose
        pipe = Mutex(ChildProcess.reportDescriptor)
        _ = fcntl(ChildProcess.reportDescriptor, F_SETFD, FD_CLOEXEC)
    }

    private static let claimed = Replaceable<StartReport?>(nil)

    /// The report of this process; nil when a person or a service manager has started it.
    static var own: StartReport? { claimed.current }

    /// Finds out how this process was started, once, while it has one thread.
    static func claim() {
        guard let purpose = ServiceEnvironment.take(variable).flatMap(Purpose.init),
            fcntl(ChildProcess.reportDescriptor, F_GETFD) >= 0
        else { return }
        claimed.replace(with: StartReport(purpose))
    }

    /// Tells that the server serves. A daemon is on its own from here on: what it had of the terminal is closed.
    func succeeded() {
        if purpose == .daemon {
            let nowhere = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
            if nowhere >= 0 {
                _ = dup2(nowhere, STDERR_FILENO)
                close(nowhere)
            }
        }
        tell(Self.ready)
    }

    /// Tells why the process ends.
    func failed(_ error: some Error) { tell("\(error)") }

    private func tell(_ text: String) {
        pipe.withLock { pipe in
            guard pipe >= 0 else { return }
            try? StandardStream.write(text + "\n", to: pipe)
            close(pipe)
            pipe = -1
        }
    }
}
