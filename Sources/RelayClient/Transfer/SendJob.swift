// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// One content for one receiver.
struct SendJob: Sendable {
    let peer: PeerName
    /// Where the content comes from; opened before anybody is asked, so that a mistyped path fails at once.
    let source: any ContentSource
    /// Whether the offer may wait for a receiver who is not there.
    let waits: Bool
    /// Names the transfer.
    let transfer: TransferID

    init(peer: PeerName, source: any ContentSource, waits: Bool, transfer: TransferID = .random()) {
        self.peer = peer
        self.source = source
        self.waits = waits
        self.transfer = transfer
    }

    /// For showing it.
    var label: TransferLabel {
        TransferLabel(transfer: transfer, direction: .send, peer: peer, name: source.name, size: source.size)
    }
}
