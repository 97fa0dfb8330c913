// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Names one transfer's stream on any node. The transfer's id is its sender's choice and so unique only at its home.
struct StreamKey: Hashable, Sendable {
    /// The node that decides about the transfer.
    var home: NodeID
    var transfer: TransferID
}
