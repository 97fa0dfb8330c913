// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What a good token opens.
struct StreamClaim: Hashable, Sendable {
    var stream: StreamKey
    /// The node that holds, or by this claim begins to hold, the transfer's download.
    var download: NodeID
}
