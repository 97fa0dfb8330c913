// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// An upload whose head has been read: all that has to move along when its connection changes event loops.
package struct UploadRequest: Sendable {
    var expectsContinue: Bool
    /// The body's length; nil when it is chunked.
    package var length: UInt64?
    package var body: RequestBodyReader
    /// What arrived behind the head.
    package var leftover: ByteBuffer

    package init(_ head: RequestHead, leftover: ByteBuffer) {
        expectsContinue = head.expectsContinue
        switch head.framing {
        case .length(let length): self.length = length
        case .chunked: length = nil
        case .none: length = 0
        }
        body = RequestBodyReader(head.framing)
        self.leftover = leftover
    }
}
