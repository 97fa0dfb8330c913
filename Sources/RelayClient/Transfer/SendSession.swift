// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Sends contents over one control connection as long as that lasts, several at a time where that is worth it, each with
/// as many tries as it takes: one loop that owns the connection, and tells each transfer what happens to it.
struct SendSession {
    /// What can happen.
    private enum Event: Sendable {
        case line(SendLine.Event)
        case upload(TransferID, UploadEvent)
        /// A content can be read from its beginning again, or cannot.
        case rewound(TransferID, (any Error)?)
        case timePassed
        case interrupted
    }

    /// One content on its way.
    private struct Sending {
        let job: SendJob
        /// The place in the order of verdicts.
        let number: Int
        /// Whether the offer may wait for a receiver who is not there.
        var waits: Bool
        var attempts: AttemptMachine
        var attempt: SendAttempt?
        /// The connection that the attempt was made on.
        var line: UInt64 = 0
        /// How often it was offered.
        var tries = 0
        /// Whether it has to be read from its beginning.
        var isAgain = false
        var isRewinding = false
        /// When it may be offered; nil at once.
        var notBefore: NIODeadline?
        /// What the content comes down to, once one try has read all of it: it is checked that it stays the same.
        var known: ContentSummary?
        /// Whether the receiver has accepted it once.
        var isAccepted = false
        /// What went wrong last, where nothing has gone well since.
        var reason: String?

        /// Whether it waits to be offered, and nothing but the relay is missing.
        func isDue(_ now: NIODeadline) -> Bool {
            attempt == nil && !isRewinding && (notBefore.map { $0 <= now } ?? true)
        }

        /// When something is due; nil when nothing is.
        func deadline(_ now: NIODeadline, mayBeSlow: Bool) -> NIODeadline? {
            let patience = attempt?.isReported == true ? nil : attempts.deadline
            // Once that is past, only the connection is missing.
            let pause = notBefore.flatMap { $0 > now ? $0 : nil }
            let answer = attempt.flatMap { mayBeSlow && !$0.result.isTaken ? $0.offeredAt + Defaults.slowAnswer : nil }
            return [patience, attempt?.deadline, pause, answer].lazy.compactMap(\.self).min()
        }

        /// Whether the relay does not answer the offer.
        func isUnanswered(since time: NIODeadline) -> Bool {
            attempt.map { !$0.result.isTaken && $0.offeredAt <= time } ?? false
        }
    }

    private let network: any SendNetwork
    /// How long to go on while no bytes flow.
    private let patience: TimeAmount
    private var order: SendOrder
    private var window = SendWindow()
    private var sendings: [Sending] = []
    private var count = 0
    /// The statuses of what was not delivered.
    private var failures: [(number: Int, status: ExitStatus)] = []
    private var line: SendLine
    private let queue = EventQueue<Event>()
    private var timer: (deadline: NIODeadline, task: Scheduled<Void>)?
    private var generator = SystemRandomNumberGenerator()
    private var isInterrupted = false
    /// Who did not appear in the time that there was: nobody waits for them a second time.
    private var absent: Set<PeerName> = []

    /// - Parameters:
    ///   - order: the contents.
    ///   - patience: how long to go on with one of them while none of its bytes flow.
    init(_ order: SendOrder, network: any SendNetwork, patience: TimeAmount) {
        self.order = order
        self.network = network
        self.patience = patience
        line = SendLine(network) { [queue] event in
            switch event {
            case .message: return queue.postForeign(.line(event))
            case .connected, .notConnected, .ended:
                queue.post(.line(event))
                return true
            }
        }
    }

    /// Sends everything, and reports what becomes of each.
    ///
    /// - Returns: the status of the first content that was not delivered, or that everything was.
    mutating func run() async -> ExitStatus {
        let registration = network.interruption.whenInterrupted { [queue] in queue.post(.interrupted) }
        defer { network.interruption.forget(registration) }
        advance(now: .now())
        rearm(now: .now())
        var events = queue.events.makeAsyncIterator()
        while !sendings.isEmpty, let event = await events.next() {
            let now = NIODeadline.now()
            handle(event, now: now)
            advance(now: now)
            rearm(now: now)
        }
        timer?.task.cancel()
        await line.close()
        if isInterrupted { return .interrupted }
        return failures.min { $0.number < $1.number }?.status ?? .done
    }

    private mutating func handle(_ event: Event, now: NIODeadline) {
        switch event {
        case .line(let event): handle(event, now: now)
        case .upload(let transfer, let event):
            guard let index = sendings.firstIndex(where: { $0.attempt?.transfer == transfer }) else { return }
            if case .streaming = event { moved(index, now: now) }
            update(index, now: now) { $0.uploadChanged(event, now: now) }
        case .rewound(let transfer, let error): rewound(transfer, error)
        case .timePassed: timePassed(now: now)
        case .interrupted: interrupted()
        }
    }

    private mutating func handle(_ event: SendLine.Event, now: NIODeadline) {
        switch event {
        case .connected(let connection): line.connected(connection)
        case .notConnected(let error as ConnectionError): lost(error, now: now)
        case .notConnected: break  // The person wants no more, and that is told.
        case .message(line.number, let message):
            let transfer = message.transfer
            for index in sendings.indices where transfer == nil || sendings[index].attempt?.transfer == transfer {
                update(index, now: now) { $0.received(message, now: now) }
            }
        case .ended(line.number, let error) where line.open != nil || line.isLeaving:
            for index in sendings.indices { update(index, now: now) { $0.connectionLost(error) } }
            lost(error, now: now)
        case .message, .ended: break  // Of a connection that was left.
        }
    }

    /// There is no connection: it is made again, or all that wait for it have failed.
    private mutating func lost(_ error: ConnectionError, now: NIODeadline) {
        guard line.lost(error, now: now) else {
            while let index = sendings.firstIndex(where: { $0.attempt == nil }) { fail(index, error, telling: nil) }
            return
        }
        for index in sendings.indices { sendings[index].reason = error.summary }
    }

    /// Lets one try know of something.
    private mutating func update(_ index: Int, now: NIODeadline, _ event: (inout SendAttempt) -> Void) {
        guard var attempt = sendings[index].attempt else { return }
        let before = attempt.result
        event(&attempt)
        sendings[index].attempt = attempt
        if attempt.result.isTaken, !before.isTaken { taken(index, now: now) }
        guard let wait = attempt.answeredAfter, !before.isAccepted else { return }
        sendings[index].isAccepted = true
        // A receiver who has accepted looks for the relay too, and may be later than this side.
        sendings[index].waits = true
        window.accepted(sendings[index].job, after: wait)
    }

    /// Does what can be done now.
    private mutating func advance(now: NIODeadline) {
        while let index = sendings.firstIndex(where: { $0.attempt?.outcome != nil }) { conclude(index, now: now) }
        while !isInterrupted,
            let (job, waits) = order.next(isIdle: sendings.isEmpty, admits: { [window] in window.admits($0) })
        {
            window.began(job)
            count += 1
            sendings.append(
                Sending(
                    job: job, number: count, waits: waits && !absent.contains(job.peer),
                    attempts: AttemptMachine(patience: patience, now: now)
                )
            )
        }
        if line.isLeaving, !sendings.contains(where: { $0.attempt?.isUnderWay ?? false }) {
            line.change()
            for index in sendings.indices { update(index, now: now) { $0.connectionLost(nil) } }
            return advance(now: now)
        }
        if !sendings.isEmpty { line.want() }
        if let connection = line.open { offer(on: connection, now: now) }
    }

    // MARK: - Offers

    private mutating func offer(on connection: any ControlLine, now: NIODeadline) {
        for index in sendings.indices where sendings[index].isDue(now) {
            if sendings[index].isAgain { rewind(index) } else { offer(index, on: connection, now: now) }
        }
        while let index = sendings.firstIndex(where: { $0.isDue(now) && !$0.isAgain }) {
            let error = CommandError("the name of the file is too long; rename it", status: .noInput)
            fail(index, error, telling: nil)
        }
    }

    private mutating func offer(_ index: Int, on connection: any ControlLine, now: NIODeadline) {
        let sending = sendings[index]
        let transfer = sending.tries == 0 ? sending.job.transfer : TransferID.random()
        sendings[index].attempt = SendAttempt(
            sending.job, as: transfer, waits: sending.waits, isKnown: sending.known != nil, on: connection,
            network: network, now: now, tell: { [queue] in queue.post(.upload(transfer, $0)) }
        )
        sendings[index].notBefore = nil
        sendings[index].tries += 1
        sendings[index].line = line.number
    }

    private mutating func rewind(_ index: Int) {
        let (job, queue) = (sendings[index].job, queue)
        sendings[index].isRewinding = true
        Task {
            do {
                try await job.source.rewind()
                queue.post(.rewound(job.transfer, nil))
            } catch {
                queue.post(.rewound(job.transfer, error))
            }
        }
    }

    private mutating func rewound(_ transfer: TransferID, _ error: (any Error)?) {
        guard let index = sendings.firstIndex(where: { $0.job.transfer == transfer }) else { return }
        sendings[index].isRewinding = false
        sendings[index].isAgain = false
        if let error { fail(index, error, telling: (error as? FileError)?.failureCode ?? .cannotRead) }
    }

    /// The relay does what it was asked.
    private mutating func taken(_ index: Int, now: NIODeadline) {
        sendings[index].reason = nil
        sendings[index].attempts.connected(now: now)
        line.proved(now: now)
    }

    /// Bytes of one content flow.
    private mutating func moved(_ index: Int, now: NIODeadline) {
        sendings[index].attempts.started(now: now)
        receiverMoved(sendings[index].job.peer, now: now)
    }

    /// A receiver that is busy with one content is there for the others.
    private mutating func receiverMoved(_ peer: PeerName, now: NIODeadline) {
        for index in sendings.indices where sendings[index].job.peer == peer {
            sendings[index].attempts.othersMoved(now: now)
        }
    }

    // MARK: - Time and the person

    private mutating func timePassed(now: NIODeadline) {
        timer = nil
        for index in sendings.indices {
            update(index, now: now) { $0.deadlinePassed(now: now) }
            guard let deadline = sendings[index].attempts.deadline, deadline <= now else { continue }
            let peer = sendings[index].job.peer
            if sendings.contains(where: { $0.job.peer == peer && $0.attempts.state == .streaming }) {
                sendings[index].attempts.othersMoved(now: now)
            } else {
                update(index, now: now) { $0.timedOut() }
            }
        }
        while let index = sendings.firstIndex(where: { $0.attempt == nil && $0.attempts.isOverdue(now: now) }) {
            giveUp(index, sendings[index].reason ?? "\(network.relay) had not answered yet")
        }
        if sendings.contains(where: { $0.isUnanswered(since: now - Defaults.slowAnswer) }) { line.isSlowToAnswer() }
    }

    private mutating func rearm(now: NIODeadline) {
        let mayBeSlow = line.mayBeSlow
        guard let deadline = sendings.lazy.compactMap({ $0.deadline(now, mayBeSlow: mayBeSlow) }).min() else { return }
        // Most deadlines only move away: what comes too early looks again.
        if let timer, timer.deadline <= deadline { return }
        timer?.task.cancel()
        timer = (deadline, network.timers.scheduleTask(deadline: deadline) { [queue] in queue.post(.timePassed) })
    }

    private mutating func interrupted() {
        isInterrupted = true
        for index in sendings.indices { update(index, now: .now()) { $0.interrupted() } }
        while let index = sendings.firstIndex(where: { $0.attempt == nil }) {
            fail(index, CancellationError(), telling: .cancelled)
        }
    }

    // MARK: - The end of a try

    private mutating func conclude(_ index: Int, now: NIODeadline) {
        guard let attempt = sendings[index].attempt, let outcome = attempt.outcome else { return }
        let (job, result) = (attempt.job, attempt.result)
        sendings[index].attempt = nil
        sendings[index].isAgain = true
        sendings[index].known = result.summary ?? sendings[index].known
        if result.isAccepted { receiverMoved(job.peer, now: now) }
        if case .delivered(let payload) = outcome { return delivered(index, payload) }
        if case .timedOut = outcome, result.isTaken, !result.hasRung { absent.insert(job.peer) }
        let isAbsent = absent.contains(job.peer)
        if case .refused(.peerOffline) = outcome, !sendings[index].isAccepted, !isAbsent, order.postpone(job) {
            window.ended(job)
            sendings.remove(at: index)
            return
        }
        let trouble = SendTrouble(
            outcome, result, of: job, after: sendings[index].reason, isAbsent: isAbsent,
            wasAccepted: sendings[index].isAccepted, patience: patience, relay: network.relay
        )
        if isInterrupted { return fail(index, CancellationError(), telling: nil) }
        recover(index, from: trouble, now: now)
    }

    /// Waits for the next try, or says why there is none.
    private mutating func recover(_ index: Int, from trouble: SendTrouble, now: NIODeadline) {
        let job = sendings[index].job
        switch sendings[index].attempts.failed(trouble.prospect, now: now, using: &generator) {
        case .fail: fail(index, trouble.error, telling: nil)
        case .giveUp: giveUp(index, trouble.reason)
        case .tryAgain(let pause, attempt: _):
            guard job.source.isRepeatable else {
                let error = CommandError(
                    "\(trouble.reason), and \(job.source.name) cannot be read a second time; run the command again",
                    status: CommandError(trouble.error).status
                )
                return fail(index, error, telling: .cannotRead)
            }
            let isNews = sendings[index].reason != trouble.reason
            sendings[index].reason = trouble.reason
            sendings[index].notBefore = now + pause
            guard let next = trouble.next else {
                if sendings[index].line == line.number { line.leave(trouble.prospect, trouble.reason, now: now) }
                return
            }
            guard isNews else { return }
            let left =
                sendings[index].attempts.deadline.map { " (until --timeout, \(SendTrouble.words($0 - now)))" } ?? ""
            network.reporter.report(.introduced(job.label))
            network.reporter.report(.interrupted(job.transfer, message: "\(trouble.reason); \(next)\(left)"))
        }
    }

    // MARK: - The end of a content

    /// Only the receiver's own word, about exactly what was sent, is a delivery.
    private mutating func delivered(_ index: Int, _ payload: Payload) {
        let sending = sendings[index]
        guard let delivered = PayloadCoding.delivered(payload), let summary = sending.known,
            delivered.confirms(summary)
        else {
            let error = TransferFailure(.verificationFailed, side: .sender, peer: sending.job.peer)
            return fail(index, error, telling: nil)
        }
        end(index)
        network.reporter.report(.delivered(sending.job.transfer, bytes: summary.size, sha256: summary.hex))
    }

    private mutating func giveUp(_ index: Int, _ reason: String) {
        // The same outage is not waited for once more by the next content.
        line.waitedInVain()
        fail(index, SendTrouble.gaveUp(patience, reason), telling: .timedOut)
    }

    /// - Parameter code: why, for a receiver that waits for the next try; nil where it knows.
    private mutating func fail(_ index: Int, _ error: any Error, telling code: FailureCode?) {
        let sending = sendings[index]
        if let code, sending.isAccepted, let connection = line.open {
            sayGoodbye(sending.job, code, on: connection)
        }
        end(index)
        let problem = CommandError(error)
        let word = (error as? TransferFailure)?.code.rawValue ?? problem.status.code
        network.reporter.report(.introduced(sending.job.label))
        network.reporter.report(.failed(sending.job.transfer, code: word, message: problem.description))
        failures.append((sending.number, problem.status))
    }

    /// Nothing stands that could be cancelled, and a receiver that has accepted waits for the content to come again: it is
    /// told by an offer that is cancelled at once.
    private func sayGoodbye(_ job: SendJob, _ code: FailureCode, on line: any ControlLine) {
        let transfer = TransferID.random()
        guard let offer = SendAttempt.offer(job, as: transfer, waits: false, id: line.nextID()) else { return }
        line.post(.offer(offer))
        line.post(.cancel(.init(id: line.nextID(), transfer: transfer, code: code)))
    }

    private mutating func end(_ index: Int) {
        let job = sendings.remove(at: index).job
        window.ended(job)
        job.source.close()
    }
}
