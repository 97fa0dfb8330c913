// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Sends contents one after the other, each with as many tries as it takes, on one control connection as long as that
/// lasts.
struct SendSession {
    private let link: RelayLink
    /// How long to go on while no bytes flow.
    private let patience: TimeAmount
    private var connection: ControlConnection?
    private var queue = EventQueue<SendAttempt.Event>()
    private var registration: Interruption.Registration?
    private var generator = SystemRandomNumberGenerator()
    /// Whether the relay has answered once: only what had worked is looked for again.
    private var hasWorked = false
    /// Whether the person was told that the relay is away, and not yet that it is back.
    private var isAway = false
    /// Who did not appear in the time that there was: nobody waits for them a second time.
    private var absent: Set<PeerName> = []

    init(link: RelayLink, patience: TimeAmount) {
        self.link = link
        self.patience = patience
    }

    /// The time was over while the relay was being looked for.
    private struct Overdue: Error {}

    /// Why one try did not deliver.
    private struct Trouble {
        var prospect: Prospect
        /// What to tell when there is no other try.
        var error: any Error
        /// The same while there is one.
        var reason: String
        /// What is done about it.
        var next = ""
        /// Whether it is about this content alone, and the relay does what it is asked.
        var isOfTransfer = false
    }

    /// Sends one content.
    ///
    /// - Parameter waits: whether the offer may wait for a receiver who is not there; it does so once for each receiver.
    /// - Returns: what was delivered, as the receiver has confirmed it.
    /// - Throws: ``TransferFailure``, ``ConnectionError``, ``FileError``, ``CommandError``, or `CancellationError`.
    mutating func send(_ job: SendJob, waits: Bool) async throws -> ContentSummary {
        var attempts = AttemptMachine(patience: patience, now: .now())
        // What the content comes down to, once one try has read all of it: it is checked that it stays the same.
        var known: ContentSummary?
        // Whoever has accepted once looks for the relay too, and may be later than this side.
        var waits = waits && !absent.contains(job.peer)
        var isFirst = true
        var last: Trouble?
        while true {
            let trouble: Trouble
            do {
                let connection = try await connected(until: attempts.deadline)
                let result = try await run(
                    job, on: connection, until: attempts.deadline, known: known, isFirst: isFirst, waits: waits
                )
                isFirst = false
                known = result.summary ?? known
                waits = waits || result.isAccepted
                if result.takenAt != nil { last = nil }
                if case .delivered(let payload) = result.outcome { return try Self.confirmed(payload, by: job, known) }
                if let time = result.takenAt { attempts.connected(now: time) }
                if let time = result.startedAt { attempts.started(now: time) }
                if result.lost != nil { disconnect() }
                trouble = self.trouble(of: job, result)
            } catch is Overdue {
                // The same outage is not waited for once more by the next content.
                hasWorked = false
                throw gaveUp(last?.reason ?? "\(link.relay) had not answered yet")
            } catch let error as ConnectionError {
                let prospect = Prospect(error, hasWorked: hasWorked)
                // A relay that says that it cannot now is there, also when it is gone for a moment after that.
                if prospect.isPassing { hasWorked = true }
                trouble = Trouble(prospect: prospect, error: error, reason: error.summary)
            }
            try await recover(from: trouble, after: last, job, &attempts)
            last = trouble
        }
    }

    /// Says goodbye to the relay.
    func close() async { await connection?.close() }

    // MARK: - The connection

    private mutating func connected(until deadline: NIODeadline?) async throws -> ControlConnection {
        if let connection { return connection }
        let connection = try await link.connect(until: deadline, or: Overdue())
        let queue = EventQueue<SendAttempt.Event>()
        link.pump(connection, into: queue, message: SendAttempt.Event.message, end: SendAttempt.Event.connectionEnded)
        registration = link.interruption.whenInterrupted { queue.post(.interrupted) }
        self.connection = connection
        self.queue = queue
        hasWorked = true
        return connection
    }

    /// Leaves the connection behind; says goodbye in case somebody still listens.
    private mutating func disconnect() {
        if let registration { link.interruption.forget(registration) }
        guard let connection else { return }
        self.connection = nil
        Task { await connection.close() }
    }

    // MARK: - One try, and the next

    private mutating func run(
        _ job: SendJob, on connection: ControlConnection, until deadline: NIODeadline?, known: ContentSummary?,
        isFirst: Bool, waits: Bool
    ) async throws -> SendAttempt.Result {
        guard
            var attempt = SendAttempt(
                job: job, link: link, connection: connection, queue: queue, deadline: deadline, known: known,
                isFirst: isFirst, isReturn: isAway, waits: waits
            )
        else {
            throw CommandError("the name of the file is too long; rename it", status: .noInput)
        }
        let result = await attempt.run()
        if result.takenAt != nil { isAway = false }
        return result
    }

    /// Waits for the next try, or throws why there is none.
    ///
    /// - Parameter last: the trouble before this one, where nothing went well in between.
    private mutating func recover(
        from trouble: Trouble, after last: Trouble?, _ job: SendJob, _ attempts: inout AttemptMachine
    ) async throws {
        switch attempts.failed(trouble.prospect, now: .now(), using: &generator) {
        case .fail:
            throw trouble.error
        case .giveUp:
            // The same outage is not waited for once more by the next content.
            hasWorked = false
            throw gaveUp(trouble.reason)
        case .tooOften:
            throw TransferFailure(
                code: .stalled, "gave up, as it was cut \(Defaults.mostStarts) times: \(trouble.reason)",
                "send it again over a better connection", status: .gaveUp
            )
        case .tryAgain(let pause, let attempt):
            guard job.source.isRepeatable else {
                throw CommandError(
                    "\(trouble.reason), and \(job.source.name) cannot be read a second time; run the command again",
                    status: CommandError(trouble.error).status
                )
            }
            if case .passing(_, elsewhere: true) = trouble.prospect { disconnect() }
            if !trouble.isOfTransfer {
                isAway = true
                link.reporter.report(.reconnecting(reason: trouble.reason, attempt: attempt, pause: pause))
            } else if trouble.reason != last?.reason {
                let left = attempts.deadline.map { " (until --timeout, \(Self.words($0 - .now())))" } ?? ""
                link.reporter.report(.introduced(job.label))
                link.reporter.report(.interrupted(job.transfer, message: "\(trouble.reason); \(trouble.next)\(left)"))
            }
            try await link.pause(pause)
            try await job.source.rewind()
        }
    }

    /// The time that the person gave is over.
    private func gaveUp(_ reason: String) -> TransferFailure {
        TransferFailure(
            code: .timedOut, "gave up after \(Self.words(patience)): \(reason)",
            "try again, or with a longer --timeout"
        )
    }

    /// `amount`, rounded up to what a person reckons with.
    private static func words(_ amount: TimeAmount) -> String {
        let milliseconds = max(0, amount.nanoseconds) / 1_000_000
        if milliseconds > 0, milliseconds < 500 { return "\(milliseconds) ms" }
        let seconds = (milliseconds + 999) / 1_000
        return seconds < 120 ? "\(seconds) s" : "\((seconds + 59) / 60) min"
    }

    /// Only the receiver's own word, about exactly what was sent, is a delivery.
    private static func confirmed(
        _ payload: Payload, by job: SendJob, _ summary: ContentSummary?
    ) throws -> ContentSummary {
        guard let delivered = PayloadCoding.delivered(payload), let summary, delivered.confirms(summary) else {
            throw TransferFailure(.verificationFailed, side: .sender, peer: job.peer)
        }
        return summary
    }

    private mutating func trouble(of job: SendJob, _ result: SendAttempt.Result) -> Trouble {
        if case .timedOut = result.outcome, !result.hasRung { absent.insert(job.peer) }
        // Whatever it says later belongs to no try any more.
        if case .unanswered = result.outcome { disconnect() }
        let prospect = Prospect(result.outcome, stream: result.cause as? StreamError, lost: result.lost)
        let error = failure(of: job, result)
        let reason = result.lost?.summary ?? (result.cause as? StreamError)?.summary ?? Self.reason(result.outcome)
        guard case .passing(_, elsewhere: false) = prospect, let failure = error as? TransferFailure else {
            return Trouble(prospect: prospect, error: error, reason: reason)
        }
        return Trouble(
            prospect: prospect, error: error, reason: failure.what,
            next: failure.code == .receiverGone ? "sending again as soon as \(job.peer) is back" : "sending again",
            isOfTransfer: true
        )
    }

    private static func reason(_ outcome: SendMachine.Outcome) -> String {
        switch outcome {
        case .refused(let code), .failed(let code, by: _): code.sentence
        case .unanswered: "the relay does not answer"
        case .delivered, .broken, .unreadable, .cancelled, .timedOut, .connectionLost:
            "the connection to the relay was lost"
        }
    }

    private func failure(of job: SendJob, _ result: SendAttempt.Result) -> any Error {
        switch result.outcome {
        case .delivered: return TransferFailure(.verificationFailed, side: .sender, peer: job.peer)
        case .refused(.peerOffline) where absent.contains(job.peer):
            return Self.late("\(job.peer) did not accept in time")
        case .refused(let code), .failed(let code, by: _):
            return TransferFailure(code, side: .sender, peer: job.peer)
        case .broken(.cut):
            if case .connection(let error)? = result.cause as? StreamError { return error }
            return TransferFailure(.senderGone, side: .sender, peer: job.peer)
        case .broken(.refused(_, let code)):
            return TransferFailure(code ?? .internalError, side: .sender, peer: job.peer)
        case .unreadable:
            return result.cause ?? TransferFailure(.cannotRead, side: .sender, peer: job.peer)
        case .timedOut: return Self.late(job.peer, result)
        case .cancelled: return CancellationError()
        case .unanswered: return TransferFailure(.expired, side: .sender, peer: job.peer)
        case .connectionLost: return result.lost ?? TransferFailure(.senderGone, side: .sender, peer: job.peer)
        }
    }

    /// The time that the person gave is over, while an offer stood.
    private static func late(_ peer: PeerName, _ result: SendAttempt.Result) -> TransferFailure {
        switch (result.takenAt, result.isAccepted) {
        case (nil, _): late("the relay did not answer in time")
        case (_, false): late("\(peer) did not accept in time")
        case (_, true): late("\(peer) accepted, but no bytes could be sent in time")
        }
    }

    private static func late(_ what: String) -> TransferFailure {
        TransferFailure(code: .timedOut, what, "try again, or with a longer --timeout")
    }
}
