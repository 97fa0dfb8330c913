// SPDX-License-Identifier: Apache-2.0

import NIOCore
package import TransferBroker
import WSProtocol

// What the other nodes say.
extension ExchangeService {
    /// `sender` said something; called in the order in which it was said.
    package func received(_ message: NodeMessage, from sender: NodeID) {
        switch message {
        case .claim(let id, let digest, let role): answer(id, digest, role, to: sender)
        case .claimed(let id, let transfer, let download):
            claims.answered(id, by: sender, transfer: transfer, download: download)
        case .request(let number, let request): forwarded(request, from: SessionID(node: sender, number: number))
        case .stream(let transfer, .downloadParked, let url): downloadParked(transfer, on: sender, url: url)
        case .ring, .start, .ok, .refuse, .failed, .release, .left, .stream, .abort:
            handle(.messageReceived(message, from: sender))
        }
    }

    /// Everything shared with the process that was `node` is over.
    package func lost(_ node: NodeID) {
        noteLoss(of: node)
        claims.lost(node)
        handle(.nodeLost(node))
    }

    private func forwarded(_ request: ForwardedRequest, from session: SessionID) {
        switch request {
        case .accept(let message):
            // Whatever the session says meanwhile is about a transfer that it does not have yet.
            whileAlive(session.node) { [cluster] in
                .requestForwarded(.accept(message, token: await cluster.newToken()), from: session)
            }
        case .decline(let message): handle(.requestForwarded(.decline(message), from: session))
        case .cancel(let message): handle(.requestForwarded(.cancel(message), from: session))
        case .progress(let message): handle(.requestForwarded(.progress(message), from: session))
        case .delivered(let message): handle(.requestForwarded(.delivered(message), from: session))
        }
    }
}
