// SPDX-License-Identifier: Apache-2.0

import Sealing
import WSProtocol

/// What a sender has to do with, as others ask for it.
extension Sender {
    var needsConnection: Bool { !sendings.isEmpty }

    /// Whether there is still something to send in answer to `request`.
    func isAnswering(_ request: PullRequest) -> Bool { jobs.isAnswering(request) }

    /// Whether `transfer` may be sent to `peer`: it is not on its way to another one.
    func maySend(_ transfer: CarriedTransfer, to peer: PeerName) -> Bool {
        jobs[transfer.shown].map { $0.peer == peer } ?? true
    }

    func owns(_ transfer: TransferID) -> Bool {
        sendings.contains { [$0.job.shownID, $0.attempt?.transfer, $0.former?.transfer].contains(transfer) }
    }

    func isUnderWay(on connection: UInt64) -> Bool {
        sendings.contains { $0.attempt.map { $0.connection == connection && $0.isUnderWay } ?? false }
    }

    func isBound(to connection: UInt64) -> Bool { sendings.contains { $0.isBound(to: connection) } }

    /// A later run would have to begin anew.
    func forget(_ job: SendJob) {
        guard !job.tree.readsPipe, !isSharing else { return }
        try? environment.records.forget(job.transfer, .send)
    }
}
