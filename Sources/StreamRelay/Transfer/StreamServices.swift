// SPDX-License-Identifier: Apache-2.0

/// What one stream needs of the rest of the node.
package struct StreamServices: Sendable {
    /// Hears what becomes of the stream.
    package let transfers: any TransferDirectory
    /// The streams that this process holds.
    package let streams: StreamTable
    /// The memory that streams are moved through.
    package let memory: StreamMemory

    package init(transfers: any TransferDirectory, streams: StreamTable, memory: StreamMemory) {
        self.transfers = transfers
        self.streams = streams
        self.memory = memory
    }
}
