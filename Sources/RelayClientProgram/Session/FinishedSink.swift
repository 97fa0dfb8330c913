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
    /// The most bytes of content that are taken; nil without a limit.
    let limit: UInt64?

    /// Finds a place for what is offered, and keeps in mind that it is being received, unless all of it is here.
    /// Blocks.
    ///
    /// - Parameter fetched: the paths that were asked for; nil for what comes unasked.
    static func make(
        _ offer: ReceivedOffer, _ finished: FinishedTransfer?, _ rules: ReceiveRules, fetched: [String]? = nil,
        _ environment: SessionEnvironment
    ) throws -> PreparedSink {
        let (sealing, records) = (environment.sealing, environment.records)
        let transfer = OfferedTransfer(of: offer)
        let (sink, limit) =
            try finished.map { (FinishedSink($0) as any TransferSink, nil) } ?? rules.open(transfer, time: sealing.time)
        if finished == nil, let record = rules.output.record(of: transfer, fetched: fetched, since: sealing.time()) {
            try? records.remember(record, now: sealing.time())
        }
        return PreparedSink(
            sink: sink, acceptance: try sink.acceptance(), isFirstContact: try sealing.meet(offer.parties.sender),
            limit: limit
        )
    }
}
