// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient

/// Where the bytes that are sent come from. One reader at a time.
protocol ContentSource: Sendable {
    /// What the receiver is told it is called: one component, never a path.
    var name: String { get }
    /// How many bytes there will be, where that is known.
    var size: UInt64? { get }
    /// The next 1 to `max` bytes; nil at the end. Throws `file`, or `interrupted` from standard input.
    func read(max: Int) async throws(ClientError) -> ByteBuffer?
    /// Whether ``rewind()`` can succeed: what comes from a pipe is gone once it was read.
    var isRepeatable: Bool { get }
    /// Begins again from the first byte. Throws `file` when that would not be the same content any more.
    func rewind() async throws(ClientError)
    /// Nothing more will be read.
    func close()
}
