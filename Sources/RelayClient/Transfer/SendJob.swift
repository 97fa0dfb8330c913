// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// One content for one receiver, however many tries that takes.
struct SendJob: Sendable {
    let peer: PeerName
    /// Where the content comes from; looked at before anybody is asked, so that a mistyped path fails at once.
    let source: any ContentSource
    /// By what the receiver knows a later try for the same content.
    let identity: OfferIdentity
    /// The id of the first try's transfer. What is shown goes under this one, whatever the later ones are.
    let transfer: TransferID

    init(peer: PeerName, source: any ContentSource) {
        self.peer = peer
        self.source = source
        identity = .random()
        transfer = .random()
    }

    /// For showing it.
    var label: TransferLabel {
        TransferLabel(transfer: transfer, direction: .send, peer: peer, name: source.name, size: source.size)
    }
}
