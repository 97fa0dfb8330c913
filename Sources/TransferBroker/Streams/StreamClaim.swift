// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What a good token opens.
package struct StreamClaim: Hashable, Sendable {
    package var stream: StreamKey
    /// The node that holds, or by this claim begins to hold, the transfer's download.
    package var download: NodeID

    package init(stream: StreamKey, download: NodeID) {
        self.stream = stream
        self.download = download
    }
}
