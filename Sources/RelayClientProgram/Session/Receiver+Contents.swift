// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// What a receiver has to do with, as others ask for it.
extension Receiver {
    var ending: SessionEnding? { machine.ending.map { SessionEnding($0) } }

    var needsConnection: Bool { true }
    var isRung: Bool { true }

    func isUnderWay(on connection: UInt64) -> Bool {
        transfers.all.contains { $0.isRunning && $0.outbox.number == connection }
    }

    func isBound(to connection: UInt64) -> Bool { transfers.all.contains { $0.outbox.number == connection } }

    var deadline: NIODeadline? { [transfers.deadline, machine.deadline].compactMap { $0 }.min() }

    func owns(_ transfer: TransferID) -> Bool { transfers[transfers.current(transfer)] != nil }

    /// How many transfers there are.
    var count: Int { transfers.count }

    /// Whether it is what this client has asked for; or its sender does not say that it is, where others may offer
    /// what they want.
    func isWanted(_ offer: ReceivedOffer, _ ring: ServerMessage.Ring) -> Bool {
        guard let requests else { return offer.summary.answers == nil && ring.request == nil }
        return requests.admits(offer, answering: ring.request)
    }

    /// Tells the person why a transfer has failed.
    func report(_ problem: OfferMemory.Problem, of label: TransferLabel) {
        environment.reporter.report(.introduced(label))
        environment.reporter.report(.failed(label.transfer, code: problem.code, message: problem.message))
    }
}

extension Reporter {
    /// Tells of an offer that came, unless it is known, and by which id the relay's log has it.
    func introduce(_ label: TransferLabel, attempt: TransferID, isKnown: Bool) {
        if !isKnown { report(.offered(label)) }
        report(.detail("attempt \(attempt) of transfer \(label.transfer)"))
    }
}
