// SPDX-License-Identifier: Apache-2.0

import NIOCore
package import TransferBroker
import WSProtocol

// What the other nodes say.
extension BrokerService {
    /// `sender` said something; called in the order in which it was said.
    package func received(_ message: NodeMessage, from sender: NodeID) {
        switch message {
        case .claim(let id, let digest, let role): answer(id, digest, role, to: sender)
        case .claimed(let id, let transfer, let download):
            claims.answered(id, by: sender, transfer: transfer, download: download)
        case .notice, .release, .request, .left, .stream, .abort:
            handle(.messageReceived(message, from: sender))
        }
    }

    /// Everything shared with the process that was `node` is over.
    package func lost(_ node: NodeID) {
        claims.lost(node)
        handle(.nodeLost(node))
    }
}
