// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// Hears what comes over links. Called on one event loop, one call at a time; must not block.
protocol NodeLinkDelegate: Sendable {
    /// A message of that incarnation of `node`; each exactly once, in the order they were sent.
    func received(_ message: NodeMessage, from node: NodeID, incarnation: Incarnation)

    /// Everything shared with that node's process is over, in both directions: nothing that was sent before arrives any
    /// more, nothing that it sent before is delivered.
    func lost(_ node: NodeID)
}
