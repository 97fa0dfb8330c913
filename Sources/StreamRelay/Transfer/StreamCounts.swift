// SPDX-License-Identifier: Apache-2.0

/// Streams that were joined on this node since its start, by where their bytes went.
package struct StreamCounts: Hashable, Sendable, Codable {
    /// Straight into a receiver's connection, whether they came from a sender or from another node.
    package var toReceivers: UInt64 = 0
    /// Into another node, which holds the receiver's connection.
    package var toNodes: UInt64 = 0

    package init(toReceivers: UInt64 = 0, toNodes: UInt64 = 0) {
        self.toReceivers = toReceivers
        self.toNodes = toNodes
    }
}
