// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

@testable import RelayClient

/// A content of so many bytes that nobody reads.
struct MemorySource: ContentSource {
    let name: String
    let size: UInt64?
    var isRepeatable = true
    /// What reading it a second time fails with.
    var change: FileError?

    func read(max _: Int) async throws -> ByteBuffer? { nil }
    func rewind() async throws { if let change { throw change } }
    func close() {}
}
