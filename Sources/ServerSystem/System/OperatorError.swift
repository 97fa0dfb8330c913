// SPDX-License-Identifier: Apache-2.0

/// Something the person at the command line has to know: one line, what happened, to what, and what to do next.
package struct OperatorError: Error, Hashable, Sendable, CustomStringConvertible {
    /// One line, without the program's name and without a full stop.
    package var message: String
    /// What the process exits with.
    package var status: ExitStatus

    package init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    /// The message with control characters escaped, since it may quote what came from outside.
    package var description: String { TextEscape.escape(message) }
}

/// What the process tells its caller when it ends, after BSD's `sysexits.h`.
package enum ExitStatus: Int32, Sendable, CaseIterable {
    /// Done.
    case done = 0
    /// The command line is wrong.
    case usage = 64
    /// What was read is not what was written.
    case corrupt = 65
    /// A file that was named cannot be read.
    case noInput = 66
    /// What has to be there is not: the server of a sub-command does not run, or a port or the state directory is in
    /// the hands of another process. Trying again later may help.
    case unavailable = 69
    /// A file (the log, the file of the process id) cannot be created.
    case cannotCreate = 73
    /// Reading or writing failed half-way.
    case inputOutput = 74
    /// The running server answered something that cannot be understood: it is of another version.
    case protocolError = 76
    /// The running server said no.
    case refused = 77
    /// The configuration is wrong. Trying again without changing it does not help.
    case configuration = 78
}
