// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// A sink whose bytes count towards what its sender may send on one day: what was counted in advance and did not come
/// is given back at the end.
final class CountedSink: TransferSink {
    private let sink: any TransferSink
    private let account: DayAccount
    /// What was here before this attempt.
    private let before: UInt64

    /// - Parameter account: what counts in advance.
    init(_ sink: any TransferSink, _ account: DayAccount) {
        self.sink = sink
        self.account = account
        before = sink.receivedBytes
    }

    var position: TransferPosition { sink.position }
    var manifest: ManifestDigest? { sink.manifest }
    var receivedBytes: UInt64 { sink.receivedBytes }
    var isRepeatable: Bool { sink.isRepeatable }
    var hasContent: Bool { sink.hasContent }
    var isAbandonable: Bool { sink.isAbandonable }

    func acceptance() throws(FileError) -> Acceptance { try sink.acceptance() }
    func take(_ entry: ManifestEntry) throws(FileError) { try sink.take(entry) }
    func takeManifest(_ digest: ManifestDigest) throws(FileError) -> [WantedNote] { try sink.takeManifest(digest) }
    func nextFile() throws(FileError) -> ExpectedFile? { try sink.nextFile() }
    func write(_ data: ByteBuffer) throws(FileError) { try sink.write(data) }
    func skip(_ hole: UInt64) throws(FileError) { try sink.skip(hole) }
    func endFile() throws(FileError) { try sink.endFile() }
    func checkpoint(now: NIODeadline, isForced: Bool) throws(FileError) {
        try sink.checkpoint(now: now, isForced: isForced)
    }

    func finish() throws(FileError) -> StoredTransfer {
        let stored = try sink.finish()
        // Files that were not wanted have not come.
        account.settle(stored.bytes - min(stored.bytes, before))
        return stored
    }

    func confirmed() { sink.confirmed() }
    // What may go on stays counted.
    func keep() { sink.keep() }

    func discard() {
        account.settle(receivedBytes - min(receivedBytes, before))
        sink.discard()
    }
}

/// What counts of one transfer towards the limit of a day.
struct DayAccount: Sendable {
    let policies: PolicyStore
    let transfer: CarriedTransfer
    let sender: PeerName
    /// How many bytes were to come when they were counted in advance; nil without a size.
    let needed: UInt64?
    let time: @Sendable () -> UInt64

    /// So many bytes have come, and no more will. Where that cannot be noted, what was counted in advance stays.
    func settle(_ bytes: UInt64) {
        try? policies.settle(transfer, from: sender, bytes: bytes, needed: needed, now: time())
    }
}
