// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// What one event has made of a transfer, for everything that keeps something about it.
struct TransferChange: Sendable {
    /// What others know of a transfer.
    struct Footprint: Sendable {
        /// Whether the transfer is there: offered, and not over.
        private(set) var isThere = false
        private(set) var receivingSide: [SessionID] = []
        private(set) var receiver: SessionID?
        private(set) var isOpenToRing = false
        private(set) var heldBytes = 0
        private(set) var deadline: NIODeadline?

        fileprivate init(_ transfer: RelayedTransfer?) {
            guard let transfer, transfer.state != .ended else { return }
            isThere = true
            receivingSide = transfer.receivingSide
            receiver = transfer.receiver
            isOpenToRing = transfer.isOpenToRing
            heldBytes = transfer.heldBytes
            deadline = transfer.deadline
        }
    }

    /// The transfer as it is now.
    let transfer: RelayedTransfer
    let before: Footprint
    let after: Footprint

    var id: TransferID { transfer.id }
    var isOver: Bool { !after.isThere }

    /// - Parameter before: what it was; nil for one that has just been offered.
    init(to transfer: RelayedTransfer, from before: RelayedTransfer?) {
        self.transfer = transfer
        self.before = Footprint(before)
        after = Footprint(transfer)
    }

    /// The sessions that are not on the receiving side any more.
    var left: [SessionID] { before.receivingSide.filter { !after.receivingSide.contains($0) } }

    /// The sessions that have come to the receiving side.
    var joined: [SessionID] { after.receivingSide.filter { !before.receivingSide.contains($0) } }
}
