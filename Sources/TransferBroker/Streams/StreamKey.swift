// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// Names one transfer's stream on any node. The transfer's id is its sender's choice and so unique only at its home.
package struct StreamKey: Hashable, Sendable {
    /// The node that decides about the transfer.
    package var home: NodeID
    package var transfer: TransferID

    package init(home: NodeID, transfer: TransferID) {
        self.home = home
        self.transfer = transfer
    }
}

/// What a good token opens.
package struct StreamClaim: Hashable, Sendable {
    package var stream: StreamKey
    /// The node that holds, or by this claim begins to hold, the transfer's download.
    package var download: NodeID
    /// In whose names the sender's and the receiver's sessions are.
    package var owners: [Owner]

    package init(stream: StreamKey, download: NodeID, owners: [Owner] = []) {
        self.stream = stream
        self.download = download
        self.owners = owners
    }
}

/// What the byte path reports about one transfer's stream.
package enum StreamEvent: Hashable, Sendable {
    /// The receiver's request is held, waiting for the sender's.
    case downloadParked
    /// Both halves are joined.
    case joined
    /// Every byte of the upload was handed to the receiver's connection.
    case finished(bytes: UInt64)
    /// The stream ended early, after `bytes` had gone through; `code` says whose fault it was.
    case cut(FailureCode, bytes: UInt64)
}
