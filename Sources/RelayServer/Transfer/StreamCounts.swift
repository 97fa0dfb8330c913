// SPDX-License-Identifier: Apache-2.0

/// Streams that were joined on this node since its start, by where their bytes went.
struct StreamCounts: Hashable, Sendable, Codable {
    /// Straight into a receiver's connection, whether they came from a sender or from another node.
    var toReceivers: UInt64 = 0
    /// Into another node, which holds the receiver's connection.
    var toNodes: UInt64 = 0
}
