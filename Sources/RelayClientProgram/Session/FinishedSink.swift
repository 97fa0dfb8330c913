// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient

/// The place of a transfer that is stored already, and whose sender does not know: nothing is left to be sent.
final class FinishedSink: TransferSink {
    let position: TransferPosition
    let manifest: ManifestDigest?
    let receivedBytes: UInt64
    let isRepeatable = true
    let hasContent = false
    let isAbandonable = false

    private let finished: FinishedTransfer

    init(_ finished: FinishedTransfer) {
        self.finished = finished
        position = TransferPosition(file: finished.files, offset: 0)
        manifest = finished.delivered.manifest
        receivedBytes = finished.delivered.bytes
    }

    func acceptance() -> Acceptance { Acceptance(position: position) }
    func take(_ entry: ManifestEntry) {}
    func takeManifest(_ digest: ManifestDigest) -> [WantedNote] { [] }
    func nextFile() -> ExpectedFile? { nil }
    func write(_ data: ByteBuffer) {}
    func skip(_ hole: UInt64) {}
    func endFile() {}
    func checkpoint(now: NIODeadline, isForced: Bool) {}
    func finish() -> StoredTransfer { StoredTransfer(contents: [], summary: finished.delivered, files: finished.files) }
    func confirmed() {}
    func keep() {}
    func discard() {}
}

/// A place for a transfer, and what its sender is told of it.
struct PreparedSink: Sendable {
    let sink: any TransferSink
    let acceptance: Acceptance
    /// Whether its sender was not known before.
    let isFirstContact: Bool

    /// Finds a place for `transfer` in `output`, unless it is `finished`, and keeps in mind that it comes. Blocks.
    init(
        _ output: ReceiveOutput, _ transfer: OfferedTransfer, _ finished: FinishedTransfer?, _ sealing: SealingParty,
        _ records: TransferRecords
    ) throws {
        sink = try finished.map { FinishedSink($0) as any TransferSink } ?? output.open(transfer)
        if finished == nil, let record = output.record(of: transfer, since: sealing.time()) {
            try? records.remember(record, now: sealing.time())
        }
        acceptance = try sink.acceptance()
        isFirstContact = try sealing.meet(transfer.sender)
    }
}
