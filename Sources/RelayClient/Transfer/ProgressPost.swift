// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import WSProtocol

/// Tells the person how far a download is, and now and then the sender.
final class ProgressPost: Sendable {
    private let transfer: TransferID
    /// What it is shown under.
    private let shown: TransferID
    private let connection: ControlConnection
    private let report: @Sendable (TransferReport) -> Void
    private let due = Mutex(NIODeadline.now() + Defaults.progressInterval)

    init(reception: Reception, report: @escaping @Sendable (TransferReport) -> Void) {
        transfer = reception.machine.ring.transfer
        shown = reception.label.transfer
        connection = reception.connection
        self.report = report
    }

    /// `bytes` of content have come in all.
    func callAsFunction(_ bytes: UInt64) {
        report(.progress(shown, bytes: bytes))
        let now = NIODeadline.now()
        let isDue = due.withLock { due in
            guard now >= due else { return false }
            due = now + Defaults.progressInterval
            return true
        }
        if isDue { connection.post(.progress(.init(id: connection.nextID(), transfer: transfer, bytes: bytes))) }
    }
}
