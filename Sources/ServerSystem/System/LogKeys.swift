// SPDX-License-Identifier: Apache-2.0

/// The keys of all log metadata. None is ever given a token, a key, an invitation, a file's name or content.
package enum LogKeys {
    /// What went wrong, in words.
    package static let error = "error"
    /// A control connection, such as `n1-7`: on each line that is about one.
    package static let session = "session"
    /// The id of a transfer's attempt, as it is on the wire: on each line that is about it, on every node.
    package static let transfer = "transfer"
    /// How a transfer, or a drain, ended.
    package static let outcome = "outcome"
    /// The address a connection comes from. What is logged of it is for ``LogAddresses`` to say: under no other key is
    /// there an address of a client's.
    package static let remote = "remote"
    /// A node's id.
    package static let node = "node"
    /// A user's name.
    package static let name = "name"
    /// A client's program and version.
    package static let agent = "agent"
    /// A close code or a failure code.
    package static let code = "code"
    /// An address this process listens on.
    package static let address = "address"
    /// What such an address is for: `https`, `http` or `metrics`.
    package static let purpose = "purpose"
    /// The path of a file of the configuration.
    package static let file = "file"
    /// What a session was told, or what became of a stream: one word.
    package static let event = "event"
    /// Bytes of content.
    package static let bytes = "bytes"
    /// How many of something there are; the message says of what.
    package static let count = "count"
    /// How many descriptors the process may have.
    package static let descriptors = "descriptors"
    /// Bytes the process has in memory, and the most it may have; or which limit was met.
    package static let resident = "resident"
    package static let limit = "limit"
    /// Whose limit was met: a user's, an address's, …
    package static let scope = "scope"
    /// Settings that were changed, and those that only a new process takes.
    package static let applied = "applied"
    package static let waiting = "waiting"
    /// This process's id.
    package static let pid = "pid"
    /// Who may register a new name.
    package static let registration = "registration"
    /// A span of time in seconds.
    package static let seconds = "seconds"
    /// The signal that came.
    package static let signal = "signal"
    /// A user of this machine, by number.
    package static let user = "user"
    /// This program's version.
    package static let version = "version"
}
