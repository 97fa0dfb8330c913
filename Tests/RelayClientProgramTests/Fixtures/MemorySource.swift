// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// A content of so many bytes that the test never reads.
struct MemorySource: ContentSource {
    let name: String
    let size: UInt64?
    var isRepeatable = true
    /// What reading it a second time fails with.
    var change: FileError?

    func read(max _: Int) async throws(ClientError) -> ByteBuffer? { nil }
    func rewind() async throws(ClientError) { if let change { throw .file(change) } }
    func close() {}
}
