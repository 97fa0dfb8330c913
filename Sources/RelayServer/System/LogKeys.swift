// SPDX-License-Identifier: Apache-2.0

/// The keys of all log metadata. None is ever given a token, a key, an invitation, a file's name or content.
enum LogKeys {
    /// What went wrong, in words.
    static let error = "error"
    /// A control connection, such as `n1-7`: on each line that is about one.
    static let session = "session"
    /// A transfer's id.
    static let transfer = "transfer"
    /// How a transfer, or a drain, ended.
    static let outcome = "outcome"
    /// The address a connection comes from.
    static let remote = "remote"
    /// A node's id.
    static let node = "node"
    /// A user's name.
    static let name = "name"
    /// A client's program and version.
    static let agent = "agent"
    /// A close code or a failure code.
    static let code = "code"
    /// An address this process listens on.
    static let address = "address"
    /// What such an address is for: `https`, `http` or `metrics`.
    static let purpose = "purpose"
    /// The path of a file of the configuration.
    static let file = "file"
    /// How many of something there are; the message says of what.
    static let count = "count"
    /// How many descriptors the process may have.
    static let descriptors = "descriptors"
    /// Bytes the process has in memory, and the most it may have; or which limit was met.
    static let resident = "resident"
    static let limit = "limit"
    /// Whose limit was met: a user's, an address's, …
    static let scope = "scope"
    /// This process's id.
    static let pid = "pid"
    /// Who may register a new name.
    static let registration = "registration"
    /// A span of time in seconds.
    static let seconds = "seconds"
    /// The signal that came.
    static let signal = "signal"
    /// This program's version.
    static let version = "version"
}
