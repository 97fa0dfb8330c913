// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

/// The times and limits of a link.
struct LinkTiming: Hashable, Sendable {
    /// A node that was not reached for this long is lost.
    var loss = Defaults.Link.loss
    /// From the upgraded connection to the other side's `welcome`.
    var greeting = Defaults.Link.greeting
    /// The first pause between two attempts to dial; each is twice the one before, up to the longest.
    var shortestPause = Defaults.Link.shortestPause
    var longestPause = Defaults.Link.longestPause
    /// What is over is known for this long.
    var memory = Defaults.Link.memory
    /// The most messages, and bytes of them, that wait for an acknowledgement.
    var unackedMessages = Defaults.Link.unackedMessages
    var unackedBytes = Defaults.Link.unackedBytes
}
