// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Why a session is there no more.
package enum SessionEnd: Hashable, Sendable {
    /// Its connection is gone, and nothing else is known.
    case closed
    /// Its node is about to stop, and has sent it away or would have.
    case nodeStopping
    /// Its node is lost.
    case nodeLost

    /// What the other side is told when this was the receiver's; only with ``closed`` is it the receiver who has gone.
    var ofReceiver: FailureCode {
        switch self {
        case .closed: .receiverGone
        case .nodeStopping: .draining
        case .nodeLost: .clusterUnavailable
        }
    }
}
