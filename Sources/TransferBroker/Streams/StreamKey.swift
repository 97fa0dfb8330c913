// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// Names one transfer's stream on any node. The transfer's id is its sender's choice and so unique only at its home.
package struct StreamKey: Hashable, Sendable {
    /// The node that decides about the transfer.
    package var home: NodeID
    package var transfer: TransferID

    package init(home: NodeID, transfer: TransferID) {
        self.home = home
        self.transfer = transfer
    }
}
