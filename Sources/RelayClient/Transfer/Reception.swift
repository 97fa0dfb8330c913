// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// One transfer as the receiving session keeps it: its machine, and what runs for it.
struct Reception {
    var machine: ReceiveMachine
    let label: TransferLabel
    /// By what an earlier or a later offer of the same is known; nil from a sender that gives no identity.
    let key: OfferMemory.Key?
    /// The connection that it was rung on: its ids belong to that one.
    let connection: ControlConnection
    /// How many seconds the relay's `start` gives its token.
    var tokenExpires = 0
    /// Whether the person, or the policy, has said yes and it waits for its turn.
    var isQueued = false
    /// Where it goes, once it was accepted.
    var sink: (any ContentSink)?
    /// The question, the download, or the storing: whatever runs now.
    var work: Task<Void, Never>?
    /// What was received, once it is verified.
    var summary: ContentSummary?
    /// Where it is, once it is stored.
    var stored: StoredContent?
    /// Why it failed, in more detail than the machine knows.
    var cause: (any Error)?
    /// Why the control connection ended meanwhile, if it did.
    var lost: ConnectionError?
    /// Whether the other client has ended it: then it does not come again.
    var isEndedByPeer = false
    /// What it comes down to, when an earlier transfer has brought it: then nothing is received, only confirmed.
    var known: ContentSummary?

    /// Whether it takes one of the places for downloads.
    var isRunning: Bool { sink != nil }

    /// Whether its bytes cost little beside the steps of its transfer.
    var isSmall: Bool { label.size.map { $0 <= Defaults.smallContent } ?? false }
}
