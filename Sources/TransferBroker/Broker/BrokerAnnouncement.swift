// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// Something of this node that other nodes have to find.
package enum BrokerAnnouncement: Hashable, Sendable {
    /// The sessions of `name`, by their numbers, that want to be rung here; empty: none any more.
    case receiving(PeerName, sessions: Set<UInt64>)
    /// Whether there are offers to `name` here that can still ring.
    case waiting(PeerName, Bool)
    /// This node is the home of a transfer, or no longer.
    case home(TransferID, Bool)
    /// A token has been used, or will never be.
    case void(TokenDigest)
}
