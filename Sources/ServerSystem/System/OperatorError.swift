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
