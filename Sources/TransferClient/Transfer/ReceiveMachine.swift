// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// One transfer as a receiver sees it, from the ring to the relay's word that the sender has been told.
///
/// Pure: events and the time go in, actions come out, to be run in their order. The owner calls
/// ``deadlinePassed(now:)`` at ``deadline``. There is exactly one ``Action/report(_:)``, and nothing after it.
package struct ReceiveMachine: Hashable, Sendable {
    /// What the owner has to do.
    package enum Action: Hashable, Sendable {
        /// Send this over the control connection.
        case send(ClientMessage)
        /// Begin the download. To be answered by ``downloadFinished()``, ``downloadFailed(_:now:)`` or
        /// ``storeFailed(_:)``.
        case startDownload(token: Token, url: String)
        /// Cut the download and throw away what came; neither need be told any more.
        case cutStream
        /// Take what of the download is still on its way, which would be sent again otherwise, and cut it then; nothing
        /// of that need be told any more.
        case drainStream
        /// Give up verifying and storing if that is still possible. To be answered as ever, by ``stored(_:now:)`` or
        /// ``storeFailed(_:)``.
        case abandon
        /// It is over.
        case report(Outcome)
    }

    /// How a transfer ended.
    package enum Outcome: Hashable, Sendable {
        /// The file has its final name. When not `isConfirmed`, the sender may not have heard of it.
        case received(isConfirmed: Bool)
        /// The person, or the policy, said no.
        case declined(FailureCode)
        /// The relay refused the `accept`: another session was quicker, or the sender is gone.
        case refused(FailureCode)
        /// The other client, or the relay, ended it.
        case failed(FailureCode, by: ServerMessage.Failed.Party)
        /// The content was wrong, or could not be kept; the sender has been told this.
        case notStored(FailureCode)
        /// The download broke, and the relay did not say why.
        case broken(StreamFailure)
        /// The person ended it.
        case cancelled
        /// The relay did not answer the `accept` in time.
        case unanswered
        /// The control connection is gone, and the transfer with it.
        case connectionLost
    }

    /// What the person, or the policy, says to a ring.
    package enum Decision: Hashable, Sendable {
        case accept(Payload)
        case decline(FailureCode)
    }

    /// How far the transfer is.
    private enum State: Hashable {
        /// The person is being asked.
        case deciding
        /// The `accept` is out, without an answer.
        case accepting(deadline: NIODeadline)
        case downloading
        /// Everything came; it is being verified and stored. `outcome` is what to report if that fails and something
        /// else had ended the transfer before. What only the network has ended is stored all the same: its sender comes
        /// again, and is told that it is here.
        case storing(outcome: Outcome?, isAbandoned: Bool = false)
        /// `delivered` is out, without an answer.
        case reporting(deadline: NIODeadline)
        /// The download broke; the reason may still come.
        case broken(StreamFailure, deadline: NIODeadline)
        case finished
    }

    /// The relay's `ring`.
    package let ring: ServerMessage.Ring
    private let answerID: RequestID
    private let conclusionID: RequestID
    private var state: State = .deciding

    /// A ring has come.
    ///
    /// - Parameters:
    ///   - answerID: the id of the `accept` or the `decline`.
    ///   - conclusionID: the id of the `delivered` or the `cancel`.
    package init(ring: ServerMessage.Ring, answerID: RequestID, conclusionID: RequestID) {
        self.ring = ring
        self.answerID = answerID
        self.conclusionID = conclusionID
    }

    /// When ``deadlinePassed(now:)`` has to be called; nil when nothing is waited for that this side bounds.
    package var deadline: NIODeadline? {
        switch state {
        case .accepting(let deadline), .reporting(let deadline), .broken(_, let deadline): deadline
        case .deciding, .downloading, .storing, .finished: nil
        }
    }

    /// Whether the ring has not been answered: then one that comes by another connection can take its place.
    package var isUndecided: Bool { state == .deciding }

    // MARK: - The person

    /// The ring has been answered. A code that is not a client's is sent as `declined`.
    package mutating func decided(_ decision: Decision, now: NIODeadline) -> [Action] {
        switch (state, decision) {
        case (.deciding, .accept(let payload)):
            state = .accepting(deadline: now + TransferDefaults.answerTimeout)
            return [.send(.accept(.init(id: answerID, transfer: ring.transfer, payload: payload)))]
        case (.deciding, .decline(let code)):
            let code = code.isClients ? code : .declined
            state = .finished
            return [
                .send(.decline(.init(id: answerID, transfer: ring.transfer, code: code))), .report(.declined(code)),
            ]
        case (.accepting, _), (.downloading, _), (.storing, _), (.reporting, _), (.broken, _), (.finished, _):
            return []
        }
    }

    /// The person wants no more of it.
    package mutating func cancelledByUser() -> [Action] {
        switch state {
        case .deciding:
            state = .finished
            return [
                .send(.decline(.init(id: answerID, transfer: ring.transfer, code: .cancelled))), .report(.cancelled),
            ]
        case .accepting, .broken:
            return finish(.cancelled, telling: .cancelled)
        case .downloading:
            return finish(.cancelled, telling: .cancelled, cutting: true)
        case .storing(nil, isAbandoned: _):
            state = .storing(outcome: .cancelled, isAbandoned: true)
            return [cancel(.cancelled), .abandon]
        case .storing(.some, isAbandoned: false):
            state = .storing(outcome: .cancelled, isAbandoned: true)
            return [.abandon]
        case .storing(.some, isAbandoned: true):
            return []
        case .reporting:
            return finish(.received(isConfirmed: false))
        case .finished:
            return []
        }
    }

    // MARK: - The relay's words

    /// `start`: the answer to `accept`.
    package mutating func started(token: Token, url: String) -> [Action] {
        switch state {
        case .accepting:
            state = .downloading
            return [.startDownload(token: token, url: url)]
        case .deciding, .downloading, .storing, .reporting, .broken, .finished:
            return []
        }
    }

    /// `ok` under the conclusion's id: the sender is being told.
    package mutating func acknowledged() -> [Action] {
        switch state {
        case .reporting: finish(.received(isConfirmed: true))
        case .deciding, .accepting, .downloading, .storing, .broken, .finished: []
        }
    }

    /// `error` under one of this machine's ids.
    package mutating func refused(_ code: FailureCode) -> [Action] {
        switch state {
        case .accepting: finish(.refused(code))
        // The transfer was over before the word of its delivery came; the file is here all the same.
        case .reporting: finish(.received(isConfirmed: false))
        case .deciding, .downloading, .storing, .broken, .finished: []
        }
    }

    /// `failed`: the other client or the relay ended the ring or the transfer.
    package mutating func failed(_ code: FailureCode, by party: ServerMessage.Failed.Party) -> [Action] {
        interrupted(.failed(code, by: party))
    }

    /// The control connection is gone.
    package mutating func connectionLost() -> [Action] {
        switch state {
        case .broken(let failure, _): finish(.broken(failure))
        case .deciding, .accepting, .downloading, .storing, .reporting, .finished: interrupted(.connectionLost)
        }
    }

    /// The transfer is over without this side's doing; the relay need not be told.
    private mutating func interrupted(_ outcome: Outcome) -> [Action] {
        switch state {
        case .deciding, .accepting, .broken: return finish(outcome)
        case .downloading:
            state = .finished
            // Who has ended it on purpose sends no more; what only a loss has ended is gone on with.
            return [Self.isByPeer(outcome) ? .cutStream : .drainStream, .report(outcome)]
        case .storing(nil, isAbandoned: _):
            let isDecided = Self.isByPeer(outcome)
            state = .storing(outcome: outcome, isAbandoned: isDecided)
            return isDecided ? [.abandon] : []
        case .storing(.some, isAbandoned: _): return []
        case .reporting: return finish(.received(isConfirmed: false))
        case .finished: return []
        }
    }

    private static func isByPeer(_ outcome: Outcome) -> Bool {
        if case .failed(_, by: .peer) = outcome { true } else { false }
    }

    // MARK: - The stream, the file and the time

    /// The stream came to its end record, and the digest is right.
    package mutating func downloadFinished() -> [Action] {
        switch state {
        case .downloading:
            state = .storing(outcome: nil)
            return []
        case .deciding, .accepting, .storing, .reporting, .broken, .finished:
            return []
        }
    }

    /// The stream ended before its end record.
    package mutating func downloadFailed(_ failure: StreamFailure, now: NIODeadline) -> [Action] {
        switch state {
        case .downloading:
            state = .broken(failure, deadline: now + TransferDefaults.explanationTimeout)
            return []
        case .deciding, .accepting, .storing, .reporting, .broken, .finished:
            return []
        }
    }

    /// The file has its final name; `payload` is for the sender.
    package mutating func stored(_ payload: Payload, now: NIODeadline) -> [Action] {
        switch state {
        case .storing(nil, isAbandoned: _):
            state = .reporting(deadline: now + TransferDefaults.answerTimeout)
            return [.send(.delivered(.init(id: conclusionID, transfer: ring.transfer, payload: payload)))]
        case .storing(.some, isAbandoned: _):
            return finish(.received(isConfirmed: false))
        case .deciding, .accepting, .downloading, .reporting, .broken, .finished:
            return []
        }
    }

    /// The content is wrong or cannot be kept, and nothing of it has its final name. A code that is not a client's is
    /// sent as `cannot_write`.
    package mutating func storeFailed(_ code: FailureCode) -> [Action] {
        let code = code.isClients ? code : .cannotWrite
        switch state {
        case .downloading: return finish(.notStored(code), telling: code, cutting: true)
        case .storing(nil, isAbandoned: _): return finish(.notStored(code), telling: code)
        case .storing(let outcome?, isAbandoned: _): return finish(outcome)
        case .deciding, .accepting, .reporting, .broken, .finished: return []
        }
    }

    /// The time is `now`. Harmless when nothing is due.
    package mutating func deadlinePassed(now: NIODeadline) -> [Action] {
        guard let deadline, deadline <= now else { return [] }
        switch state {
        // A relay that is not heard cannot be told; the sender shall wait for the next try, and not hear of an end.
        case .accepting: return finish(.unanswered)
        case .reporting: return finish(.received(isConfirmed: false))
        // The relay knows of a stream that it has had, and not of one that could not begin.
        case .broken(let failure, _): return finish(.broken(failure), telling: .streamLost(by: .download))
        case .deciding, .downloading, .storing, .finished: return []
        }
    }

    private func cancel(_ code: FailureCode) -> Action {
        .send(.cancel(.init(id: conclusionID, transfer: ring.transfer, code: code)))
    }

    /// Ends it: tells the relay, if it does not know; cuts the download, if there is one; reports.
    private mutating func finish(
        _ outcome: Outcome, telling code: FailureCode? = nil, cutting: Bool = false
    ) -> [Action] {
        state = .finished
        return (code.map { [cancel($0)] } ?? []) + (cutting ? [.cutStream] : []) + [.report(outcome)]
    }
}

extension ReceiveMachine {
    /// Takes a message of the relay, if it is about this transfer; any other does nothing.
    package mutating func received(_ message: ServerMessage) -> [Action] {
        switch message {
        case .start(let start) where start.transfer == ring.transfer && start.role == .download:
            started(token: start.token, url: start.url)
        case .ok(let ok) where ok.id == conclusionID:
            acknowledged()
        case .error(let refusal) where refusal.id == answerID || refusal.id == conclusionID:
            refused(refusal.code)
        case .failed(let failed) where failed.transfer == ring.transfer:
            self.failed(failed.code, by: failed.by)
        case .challenge, .welcome, .ok, .peer, .offered, .ring, .start, .progress, .note, .delivered, .failed,
            .requested, .refused, .move, .pong, .error:
            []
        }
    }
}
