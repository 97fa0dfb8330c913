// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// On which nodes the halves of one stream are, as far as their tokens have been claimed.
struct StreamHalves: Hashable, Sendable {
    var download: NodeID?
    var upload: NodeID?
    /// The own address for clients of the node that holds the download, if it has one.
    var publicURL: PublicURL?

    /// Whether `node` holds either half.
    func has(_ node: NodeID) -> Bool { download == node || upload == node }

    /// Each node that holds a half, once.
    var nodes: [NodeID] {
        [download, upload == download ? nil : upload].compactMap { $0 }
    }
}
