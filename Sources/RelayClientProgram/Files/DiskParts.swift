// SPDX-License-Identifier: Apache-2.0

import TransferClient

/// What came of transfers that are not complete, where they are received.
protocol UnfinishedParts: Sendable {
    /// How many bytes of content are there; nil when there is nothing.
    func bytes(of record: ReceivedRecord) throws(FileError) -> UInt64?
    /// Removes all that came of it.
    func remove(_ record: ReceivedRecord) throws(FileError)
}

/// The parts of unfinished transfers in the folders that they are received into.
struct DiskParts: UnfinishedParts {
    func bytes(of record: ReceivedRecord) throws(FileError) -> UInt64? {
        try parts(of: record).unfinished().first { $0.transfer == record.transfer }?.bytesHere
    }

    func remove(_ record: ReceivedRecord) throws(FileError) {
        let parts = try parts(of: record)
        let isThere = parts.unfinished().contains { $0.transfer == record.transfer }
        guard parts.forget(record.transfer) || !isThere else {
            throw FileError(
                code: .cannotCreate,
                message: "it is being received just now: end that relay-client receive, then forget it"
            )
        }
    }

    private func parts(of record: ReceivedRecord) throws(FileError) -> ReceivedParts {
        do {
            return ReceivedParts(directory: try ReceiveDirectory.open(record.folder), options: ReceivedOptions())
        } catch {
            throw ClientError(error).file ?? FileError(code: .cannotCreate, message: "\(error)")
        }
    }
}
