// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// The end of one transfer.
extension ReceiveSession {
    /// It is over: tell the person, tidy up, and leave if that was all.
    mutating func finish(_ id: TransferID, _ outcome: ReceiveMachine.Outcome) {
        guard let reception = receptions.removeValue(forKey: id) else { return }
        order.removeAll { $0 == id }
        if case .unanswered = outcome { isLeavingNode = true }
        if reception.known != nil { return confirmed(reception, outcome) }
        switch outcome {
        case .received(let isConfirmed): received(reception, isConfirmed: isConfirmed)
        case .declined, .refused, .failed, .notStored, .broken, .cancelled, .unanswered, .connectionLost:
            let failure = failure(of: reception, outcome)
            tidyUp(reception)
            let prospect = Prospect(outcome, stream: reception.cause as? StreamError, lost: reception.lost)
            if prospect.isPassing, ending == nil, interrupted(reception, failure) {
                if case (.refused, .passing(_, elsewhere: true)) = (outcome, prospect) { isLeavingNode = true }
            } else {
                failed(reception, failure)
            }
        }
    }

    /// A transfer is over for good.
    private mutating func failed(_ reception: Reception, _ failure: any Error) {
        report(failure, of: reception)
        let wasAccepted = reception.sink != nil || recalled(reception) != nil
        if let key = reception.key { memory.forget(key) }
        // What went out to standard output cannot be taken back, and nothing may follow half a content there. An offer that
        // nobody had taken is nothing that could have been received once.
        let isSpoilt = reception.sink.map { !$0.isRepeatable } ?? false
        guard isSpoilt || settings.isOnce && (wasAccepted || reception.cause is FileError) else { return }
        hasReported = true
        end(.failure(failure))
    }

    /// A transfer broke for a reason that may pass: remembers what was accepted. False when it is over all the same.
    private mutating func interrupted(_ reception: Reception, _ failure: any Error) -> Bool {
        let label = reception.label
        guard let sink = reception.sink else {
            // It is offered again, or it is not; what was decided about it stays so.
            if recalled(reception) == nil { link.reporter.report(.withdrawn(label.transfer)) }
            return true
        }
        // What has no size is read from a pipe, and does not come a second time once some of it has come.
        guard sink.isRepeatable, label.size != nil || !sink.hasContent, let key = reception.key else { return false }
        let problem = problem(failure)
        // One line for each break, however many tries come to nothing before bytes flow again.
        let isNews = recalled(reception)?.problem != problem
        memory.interrupted(key, label, problem, now: .now())
        if isNews { link.reporter.report(.interrupted(label.transfer, message: Self.news(of: failure, label.peer))) }
        return true
    }

    /// What has broken it, in the words that the sender has for it, and when it goes on.
    private static func news(of failure: any Error, _ peer: PeerName) -> String {
        // Without a connection of ours, or with a stream that we could not hold: it was ours that was cut.
        let failure = failure as? TransferFailure ?? TransferFailure(.receiverGone, side: .receiver, peer: peer)
        let next = failure.code == .senderGone ? "is back" : "sends it again"
        return "\(failure.what); it begins again when \(peer) \(next)"
    }

    /// What is remembered of an earlier transfer of the same that broke.
    private func recalled(_ reception: Reception) -> OfferMemory.Interrupted? {
        guard let key = reception.key,
            case .accepted(let entry)? = memory.recall(key, name: reception.label.name, size: reception.label.size)
        else { return nil }
        return entry
    }

    /// What broke has not come again, for so long that it will not.
    mutating func forgotten(_ interrupted: OfferMemory.Interrupted) {
        let problem = interrupted.problem
        link.reporter.report(.failed(interrupted.label.transfer, code: problem.code, message: problem.message))
        guard settings.isOnce else { return }
        hasReported = true
        end(.failure(CommandError(problem.message, status: problem.status)))
    }

    /// The sender of something that was here already has been told, or could not be.
    private mutating func confirmed(_ reception: Reception, _ outcome: ReceiveMachine.Outcome) {
        guard case .received(isConfirmed: true) = outcome else { return }
        link.reporter.report(.detail("\(reception.label.peer) knows now that it arrived"))
        if staysUntil != nil { end(.success(())) }
    }

    private mutating func received(_ reception: Reception, isConfirmed: Bool) {
        guard let stored = reception.stored, let summary = reception.summary else { return }
        let id = reception.label.transfer
        if let key = reception.key { memory.finished(key, summary) }
        link.reporter.report(.received(id, path: stored.path, bytes: summary.size, sha256: summary.hex))
        if !isConfirmed {
            link.reporter.report(.warning("\(reception.label.peer) may not have heard that it arrived"))
        }
        if let command = settings.command {
            let reporter = link.reporter
            let finished = FinishedFile(
                content: stored, from: reception.label.peer, size: summary.size, transfer: id
            )
            errand { if let problem = await finished.run(command) { reporter.report(.warning(problem)) } }
        }
        guard settings.isOnce else { return }
        if !isConfirmed, !reception.isEndedByPeer, reception.key != nil {
            // The sender comes back to hear of it.
            staysUntil = .now() + Defaults.confirmationPatience
        } else {
            end(.success(()))
        }
    }

    private mutating func end(_ result: Swift.Result<Void, any Error>) {
        if ending == nil { ending = result }
    }

    private func report(_ error: any Error, of reception: Reception) {
        let problem = problem(error)
        link.reporter.report(.failed(reception.label.transfer, code: problem.code, message: problem.message))
    }

    private func problem(_ error: any Error) -> OfferMemory.Problem {
        let code =
            switch error {
            case let error as TransferFailure: error.code
            case is ConnectionError: FailureCode.receiverGone
            default: Self.code(of: error)
            }
        let said = CommandError(error)
        return OfferMemory.Problem(code: code.rawValue, message: said.description, status: said.status)
    }

    /// Stops what runs for it, and removes the part file once nothing writes to it any more.
    mutating func tidyUp(_ reception: Reception) {
        reception.work?.cancel()
        guard let sink = reception.sink else { return }
        errand {
            await reception.work?.value
            await sink.discard()
        }
    }

    /// Something that has to be done before leaving, but that nobody waits for until then.
    private mutating func errand(_ body: @escaping @Sendable () async -> Void) {
        errandCount += 1
        let (number, queue) = (errandCount, queue)
        errands[number] = Task {
            await body()
            queue.post(.errandDone(number))
        }
    }

    private func failure(of reception: Reception, _ outcome: ReceiveMachine.Outcome) -> any Error {
        let peer = reception.label.peer
        switch outcome {
        case .declined(let code), .notStored(let code):
            if let error = reception.cause as? FileError { return error }
            return TransferFailure(code, side: .receiver, peer: peer)
        case .refused(let code), .failed(let code, by: _):
            return TransferFailure(code, side: .receiver, peer: peer)
        case .broken(.refused(_, let code)):
            return TransferFailure(code ?? .receiverGone, side: .receiver, peer: peer)
        case .broken(.cut):
            if case .connection(let error)? = reception.cause as? StreamError { return error }
            return TransferFailure(.receiverGone, side: .receiver, peer: peer)
        case .unanswered: return TransferFailure(.unavailable, side: .receiver, peer: peer)
        case .connectionLost, .received:
            return reception.cause ?? TransferFailure(.receiverGone, side: .receiver, peer: peer)
        case .cancelled: return CancellationError()
        }
    }
}
