// SPDX-License-Identifier: Apache-2.0

/// What one stream needs of the rest of the node.
struct StreamServices: Sendable {
    /// Hears what becomes of the stream.
    let transfers: any TransferDirectory
    /// The streams that this process holds.
    let streams: StreamTable
    /// The memory that streams are moved through.
    let memory: StreamMemory
}
