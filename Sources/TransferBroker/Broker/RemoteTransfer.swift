// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// A transfer of another home that concerns sessions of this node.
struct RemoteTransfer: Hashable, Sendable {
    let home: NodeID
    /// The sessions that were rung, or the one that accepted.
    var sessions: Set<SessionID>
}
