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
                if case .refused = outcome { isLeavingNode = true }
                return
            }
            report(failure, of: reception)
            keepConsent(to: reception, outcome)
            // What went out to standard output cannot be taken back, and nothing may follow half a content there. An
            // offer that nobody had taken is nothing that could have been received once.
            let isSpoilt = reception.sink.map { !$0.isRepeatable } ?? false
            if isSpoilt || settings.isOnce && (reception.sink != nil || reception.cause is FileError) {
                hasReported = true
                end(.failure(failure))
            }
        }
    }

    /// A transfer broke for a reason that may pass: remembers what was accepted. False when it is over all the same.
    private mutating func interrupted(_ reception: Reception, _ failure: any Error) -> Bool {
        let label = reception.label
        guard let sink = reception.sink else {
            // It is offered again, or it is not; what was decided about it stays so.
            if !recalls(reception) { link.reporter.report(.withdrawn(label.transfer)) }
            return true
        }
        guard sink.isRepeatable, let key = reception.key else { return false }
        let problem = problem(failure)
        memory.interrupted(key, label, problem, now: .now())
        link.reporter.report(.interrupted(label.transfer, message: problem.message))
        return true
    }

    /// Whether an earlier transfer of the same is remembered.
    private func recalls(_ reception: Reception) -> Bool {
        guard let key = reception.key else { return false }
        return memory.recall(key, name: reception.label.name, size: reception.label.size) != nil
    }

    /// A sender who went may only have lost its connection: the same offer, made again, needs no second question.
    private mutating func keepConsent(to reception: Reception, _ outcome: ReceiveMachine.Outcome) {
        switch outcome {
        case .failed(.senderGone, by: .relay), .broken:
            guard let key = reception.key, reception.sink?.isRepeatable == true else { return }
            memory.interrupted(key, reception.label, nil, now: .now())
        case .received, .declined, .refused, .failed, .notStored, .cancelled, .unanswered, .connectionLost: break
        }
    }

    /// The sender of something that was here already has been told, or could not be.
    private mutating func confirmed(_ reception: Reception, _ outcome: ReceiveMachine.Outcome) {
        guard case .received(isConfirmed: true) = outcome else { return }
        link.reporter.report(.detail("\(reception.label.peer) knows now that it arrived"))
        if staysUntil != nil { end(.success(())) }
    }

    private mutating func received(_ reception: Reception, isConfirmed: Bool) {
        guard let path = reception.path, let summary = reception.summary else { return }
        let id = reception.label.transfer
        if let key = reception.key { memory.finished(key, summary) }
        link.reporter.report(.received(id, path: path, bytes: summary.size, sha256: summary.hex))
        if !isConfirmed {
            link.reporter.report(.warning("\(reception.label.peer) may not have heard that it arrived"))
        }
        if let command = settings.command {
            let reporter = link.reporter
            let finished = FinishedFile(
                path: path, from: reception.label.peer, size: summary.size, transfer: id
            )
            errand { if let problem = await finished.run(command) { reporter.report(.warning(problem)) } }
        }
        guard settings.isOnce else { return }
        if !isConfirmed, reception.lost != nil, reception.key != nil {
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
        return OfferMemory.Problem(code: code.rawValue, message: CommandError(error).description)
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
            return TransferFailure(code ?? .senderGone, side: .receiver, peer: peer)
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
