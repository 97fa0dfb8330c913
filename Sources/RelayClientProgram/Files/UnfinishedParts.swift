// SPDX-License-Identifier: Apache-2.0

import TransferClient

/// What came of transfers that are not complete, where they are received.
protocol UnfinishedParts: Sendable {
    /// How many bytes of content are there; nil when there is nothing.
    func bytes(of record: ReceivedRecord) throws(FileError) -> UInt64?
    /// Removes all that came of it.
    func remove(_ record: ReceivedRecord) throws(FileError)
}
