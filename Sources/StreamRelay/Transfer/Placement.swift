// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

/// Where an upload finds its download: decided once, when its token has been claimed.
enum Placement: Hashable, Sendable {
    /// On the upload's own event loop.
    case local
    /// On another event loop of this node: the connection moves there.
    case move
    /// On another node: the stream goes on to it.
    case hop(NodeID)
    /// It was here, and is not any more.
    case gone

    /// - Parameters:
    ///   - holder: the node that holds the download.
    ///   - node: this node.
    ///   - download: the event loop of the download, if this node has it.
    ///   - upload: the event loop of the upload.
    init(holder: NodeID, node: NodeID, download: (any EventLoop)?, upload: any EventLoop) {
        guard holder == node else {
            self = .hop(holder)
            return
        }
        guard let download else {
            self = .gone
            return
        }
        self = download === upload ? .local : .move
    }
}
