// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// One transfer as the receiving session keeps it: its machine, and what runs for it.
struct Reception {
    var machine: ReceiveMachine
    let label: TransferLabel
    /// The connection that it was rung on: its ids belong to that one.
    let connection: ControlConnection
    /// Whether the person, or the policy, has said yes and it waits for its turn.
    var isQueued = false
    /// Where it goes, once it was accepted.
    var sink: (any ContentSink)?
    /// The question, the download, or the storing: whatever runs now.
    var work: Task<Void, Never>?
    /// What was received, once it is verified.
    var summary: ContentSummary?
    /// The final path, once it is stored.
    var path: String?
    /// Why it failed, in more detail than the machine knows.
    var cause: (any Error)?

    /// Whether it takes one of the places for downloads.
    var isRunning: Bool { sink != nil }
}
