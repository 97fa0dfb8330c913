// SPDX-License-Identifier: Apache-2.0

import Sealing
import TransferClient
import WSProtocol

extension TransferLabel {
    /// The first of the names, as the sender gave it.
    var name: String { summary.names.first ?? "" }

    /// One file.
    init(transfer: TransferID, direction: Direction, peer: PeerName, name: String, size: UInt64) {
        self.init(
            transfer: transfer, direction: direction, peer: peer,
            summary: OfferSummary(names: [name], entries: 1, bytes: size, kind: .file))
    }
}
