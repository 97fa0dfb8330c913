// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// The end of one transfer.
extension ReceiveSession {
    /// It is over: tell the person, tidy up, and leave if that was all.
    mutating func finish(_ id: TransferID, _ outcome: ReceiveMachine.Outcome) {
        guard let reception = receptions.removeValue(forKey: id) else { return }
        order.removeAll { $0 == id }
        switch outcome {
        case .received(let isConfirmed): received(reception, isConfirmed: isConfirmed)
        case .declined, .refused, .failed, .notStored, .broken, .cancelled, .unanswered, .connectionLost:
            let failure = failure(of: reception, outcome)
            report(failure, of: reception)
            tidyUp(reception)
            // An offer that nobody had taken is nothing that could have been received once.
            if settings.isOnce, reception.sink != nil || reception.cause is FileError {
                hasReported = true
                end(.failure(failure))
            }
        }
    }

    private mutating func received(_ reception: Reception, isConfirmed: Bool) {
        guard let path = reception.path, let summary = reception.summary else { return }
        let id = reception.label.transfer
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
        if settings.isOnce { end(.success(())) }
    }

    private mutating func end(_ result: Swift.Result<Void, any Error>) {
        if ending == nil { ending = result }
    }

    private func report(_ error: any Error, of reception: Reception) {
        let problem = CommandError(error)
        let code = (error as? TransferFailure)?.code.rawValue ?? Self.code(of: error).rawValue
        link.reporter.report(.failed(reception.label.transfer, code: code, message: problem.description))
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
