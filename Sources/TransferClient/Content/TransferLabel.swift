// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import WSProtocol

/// What is known about a transfer from its beginning, for showing it.
package struct TransferLabel: Hashable, Sendable {
    /// Which way the content goes, seen from here.
    package enum Direction: String, Hashable, Sendable {
        case send
        case receive
    }

    package var transfer: TransferID
    package let direction: Direction
    /// The name at the other end.
    package let peer: PeerName
    /// What it carries. Names are as the sender gave them: not yet fit for a terminal.
    package let summary: OfferSummary

    /// Bytes of content; nil where that is not known.
    package var size: UInt64? { summary.bytes }

    package init(transfer: TransferID, direction: Direction, peer: PeerName, summary: OfferSummary) {
        self.transfer = transfer
        self.direction = direction
        self.peer = peer
        self.summary = summary
    }

    /// What is offered, under the id that it has on both sides.
    package init(of offer: ReceivedOffer) {
        self.init(
            transfer: TransferID(bytes: offer.transfer.bytes) ?? offer.parties.attempt, direction: .receive,
            peer: offer.parties.sender.name, summary: offer.summary
        )
    }
}
