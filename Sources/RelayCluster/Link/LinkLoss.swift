// SPDX-License-Identifier: Apache-2.0

/// Why everything that was shared with another node's process is over. The value is what the log says.
enum LinkLoss: String, Hashable, Sendable, CaseIterable {
    /// The address book has no live node of that name.
    case unknown = "nobody knows such a live node"
    case refused = "its port refuses connections"
    /// Not reached for as long as `LinkTiming.loss`.
    case unreachable = "it cannot be reached"
    /// Another process answers, or calls, under its name.
    case replaced = "it was started again"
    /// It says that the association is over.
    case released = "it has let go"
    /// Its presence is gone, and there is no connection that says otherwise.
    case gone = "its presence is gone"
    /// Too much waits for it.
    case overflow = "it takes no messages"
    /// A message is too long to be sent.
    case unsendable = "a message for it is too long"
}
