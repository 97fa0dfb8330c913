// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// Something this node has, as a key in Redis that other nodes look for.
enum ClusterRoute: Hashable, Sendable {
    /// Sessions of a name want to be rung.
    case receiving(PeerName)
    /// Offers to a name can still ring.
    case waiting(PeerName)
    /// A transfer's home is here.
    case transfer(TransferID)
    /// A token can be asked about here.
    case token(TokenDigest)

    /// The key in Redis when `node` has it.
    func key(on node: NodeID) -> String {
        switch self {
        case .receiving(let name): ClusterKeys.receiving(name, on: node)
        case .waiting(let name): ClusterKeys.waiting(name, on: node)
        case .transfer(let transfer): ClusterKeys.transfer(transfer, on: node)
        case .token(let digest): ClusterKeys.token(digest)
        }
    }
}
