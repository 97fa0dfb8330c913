// SPDX-License-Identifier: Apache-2.0

/// What the process tells its caller when it ends, after BSD's `sysexits.h`.
package enum ExitStatus: Int32, Sendable, CaseIterable {
    /// Done.
    case done = 0
    /// The command line is wrong.
    case usage = 64
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
