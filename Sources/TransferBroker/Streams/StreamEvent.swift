// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

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

    /// What had gone through when the stream ended; 0 as long as it has not.
    var bytes: UInt64 {
        switch self {
        case .downloadParked, .joined: 0
        case .finished(let bytes), .cut(_, let bytes): bytes
        }
    }
}
