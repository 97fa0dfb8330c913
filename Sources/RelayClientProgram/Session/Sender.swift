// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// Sends contents over a session's connection, several at a time where that is worth it, each with as many tries as it
/// takes: tells each transfer what happens to it, and decides with what it knows of all of them.
struct Sender: SessionPart {
    /// One content on its way.
    private struct Sending {
        let job: SendJob
        /// The place in the order of verdicts.
        let number: Int
        /// Whether the offer may wait for a receiver who is not there.
        var waits: Bool
        var retry: RetryMachine
        var attempt: SendAttempt?
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
        func deadline(mayBeSlow: Bool) -> NIODeadline? {
            let patience = attempt?.isReported == true ? nil : retry.deadline
            let slow = mayBeSlow ? askedAt.map { $0 + Defaults.slowAnswer } : nil
            return [patience, attempt?.deadline, notBefore, slow].lazy.compactMap(\.self).min()
        }

        /// Since when an answer to the offer is waited for; nil when it has come, or there is none.
        var askedAt: NIODeadline? { attempt.flatMap { $0.result.isTaken ? nil : $0.offeredAt } }
    }

    private let environment: SessionEnvironment
    private let queue: EventQueue<SessionEvent>
    /// How long to go on while no bytes flow.
    private let patience: TimeAmount
    private let jobs: [TransferID: SendJob]
    private var order: SendQueue
    private var sendings: [Sending] = []
    private var count = 0
    /// The statuses of what was not delivered.
    private var failures: [(number: Int, status: ExitStatus)] = []
    private var demands: [ConnectionDemand] = []
    /// The connection that stands, for the last word to a receiver.
    private var outbox: Outbox?
    /// How long this connection has waited for answers.
    private var waits = AnswerWaits()
    private var generator = SystemRandomNumberGenerator()
    private var isInterrupted = false
    private(set) var ending: SessionEnding?

    /// - Parameters:
    ///   - waits: whether receivers who are not there are waited for.
    ///   - patience: how long to go on with one content while none of its bytes flow.
    init(
        _ jobs: [SendJob], waits: Bool, patience: TimeAmount, environment: SessionEnvironment,
        queue: EventQueue<SessionEvent>
    ) {
        self.jobs = Dictionary(jobs.map { ($0.transfer, $0) }) { first, _ in first }
        order = SendQueue(
            jobs.map { .init(transfer: $0.transfer, peer: $0.peer, size: $0.source.size) }, waits: waits
        )
        self.patience = patience
        self.environment = environment
        self.queue = queue
    }

    // MARK: - As a part of a session

    var needsConnection: Bool { !sendings.isEmpty }

    var isUnderWay: Bool { sendings.contains { $0.attempt?.isUnderWay ?? false } }

    var deadline: NIODeadline? {
        let mayBeSlow = outbox != nil && !waits.isTold
        return sendings.lazy.compactMap { $0.deadline(mayBeSlow: mayBeSlow) }.min()
    }

    mutating func takeDemands() -> [ConnectionDemand] {
        defer { demands = [] }
        return demands
    }

    func owns(_ transfer: TransferID) -> Bool {
        sendings.contains { $0.job.transfer == transfer || $0.attempt?.transfer == transfer }
    }

    mutating func connected(_ outbox: Outbox, now: NIODeadline) { (self.outbox, waits) = (outbox, AnswerWaits()) }

    mutating func disconnected(_ error: ConnectionError?, now: NIODeadline) {
        outbox = nil
        for index in sendings.indices {
            update(index, now: now) { $0.connectionLost(error) }
            if let error { sendings[index].reason = error.summary }
        }
    }

    mutating func unreachable(_ error: ConnectionError, now: NIODeadline) {
        while let index = sendings.firstIndex(where: { $0.attempt == nil }) {
            fail(index, unconfirmed(index, error.summary, error.status) ?? .connection(error), telling: nil)
        }
    }

    mutating func received(_ message: ServerMessage, on outbox: Outbox, now: NIODeadline) {
        guard let transfer = outbox.transfer(of: message),
            let index = sendings.firstIndex(where: { $0.attempt?.transfer == transfer })
        else { return }
        update(index, now: now) { $0.received(message, now: now) }
    }

    mutating func worked(_ event: WorkEvent, on transfer: TransferID, now: NIODeadline) {
        switch event {
        case .upload(let event):
            guard let index = sendings.firstIndex(where: { $0.attempt?.transfer == transfer }) else { return }
            if case .streaming = event { moved(index, now: now) }
            update(index, now: now) { $0.uploadChanged(event, now: now) }
        case .rewound(let error): rewound(transfer, error)
        case .decided, .download, .stored: break
        }
    }

    mutating func cleanedUp(_ number: UInt64) {}

    mutating func deadlinePassed(now: NIODeadline) {
        for index in sendings.indices {
            // From then on only the connection is missing.
            if let notBefore = sendings[index].notBefore, notBefore <= now { sendings[index].notBefore = nil }
            update(index, now: now) { $0.deadlinePassed(now: now) }
            guard let deadline = sendings[index].retry.deadline, deadline <= now else { continue }
            let peer = sendings[index].job.peer
            if sendings.contains(where: { $0.job.peer == peer && $0.retry.state == .streaming }) {
                sendings[index].retry.othersMoved(now: now)
            } else {
                update(index, now: now) { $0.timedOut() }
            }
        }
        while let index = sendings.firstIndex(where: { $0.attempt == nil && $0.retry.isOverdue(now: now) }) {
            giveUp(index, sendings[index].reason ?? "\(environment.relay) had not answered yet")
        }
        for asked in sendings.compactMap(\.askedAt) { waited(since: asked, now: now) }
    }

    mutating func interrupted(now: NIODeadline) {
        isInterrupted = true
        for index in sendings.indices { update(index, now: now) { $0.interrupted() } }
        while let index = sendings.firstIndex(where: { $0.attempt == nil }) {
            fail(index, .interrupted, telling: .cancelled)
        }
    }

    mutating func advance(on outbox: Outbox?, now: NIODeadline) {
        while let index = sendings.firstIndex(where: { $0.attempt?.outcome != nil }) { conclude(index, now: now) }
        fill(now: now)
        if let outbox {
            offer(on: outbox, now: now)
            // One that could not be offered has made room for the next.
            while sendings.isEmpty, fill(now: now) { offer(on: outbox, now: now) }
        }
        guard sendings.isEmpty, ending == nil else { return }
        let status = failures.min { $0.number < $1.number }?.status ?? .done
        ending = .status(isInterrupted ? .interrupted : status)
    }

    mutating func stop() {}

    func stopped() async {}

    /// Takes what may go now. Returns whether there was anything.
    @discardableResult
    private mutating func fill(now: NIODeadline) -> Bool {
        let before = count
        while !isInterrupted, let (item, waits) = order.next() {
            guard let job = jobs[item.transfer] else { continue }
            count += 1
            let retry = RetryMachine(patience: patience, now: now)
            sendings.append(Sending(job: job, number: count, waits: waits, retry: retry))
        }
        return count > before
    }

    // MARK: - Offers

    private mutating func offer(on outbox: Outbox, now: NIODeadline) {
        for index in sendings.indices where sendings[index].isDue(now) {
            if sendings[index].isAgain { rewind(index) } else { offer(index, on: outbox, now: now) }
        }
        while let index = sendings.firstIndex(where: { $0.isDue(now) && !$0.isAgain }) {
            fail(index, .command("the name of the file is too long; rename it", .noInput), telling: nil)
        }
    }

    private mutating func offer(_ index: Int, on outbox: Outbox, now: NIODeadline) {
        let sending = sendings[index]
        let transfer = sending.tries == 0 ? sending.job.transfer : TransferID.random()
        sendings[index].attempt = SendAttempt(
            sending.job, as: transfer, waits: sending.waits, isKnown: sending.known != nil, on: outbox,
            environment: environment, now: now, tell: { [queue] in queue.post(.work(transfer, .upload($0))) }
        )
        sendings[index].notBefore = nil
        sendings[index].tries += 1
    }

    private mutating func rewind(_ index: Int) {
        let (job, queue) = (sendings[index].job, queue)
        sendings[index].isRewinding = true
        Task {
            do throws(ClientError) {
                try await job.source.rewind()
                queue.post(.work(job.transfer, .rewound(nil)))
            } catch {
                queue.post(.work(job.transfer, .rewound(error)))
            }
        }
    }

    private mutating func rewound(_ transfer: TransferID, _ error: ClientError?) {
        guard let index = sendings.firstIndex(where: { $0.job.transfer == transfer }) else { return }
        sendings[index].isRewinding = false
        sendings[index].isAgain = false
        if let error { fail(index, error, telling: error.file?.failureCode ?? .cannotRead) }
    }

    /// Lets one try know of something.
    private mutating func update(_ index: Int, now: NIODeadline, _ event: (inout SendAttempt) -> Void) {
        guard var attempt = sendings[index].attempt else { return }
        let before = attempt.result
        event(&attempt)
        sendings[index].attempt = attempt
        if attempt.result.isTaken, !before.isTaken {
            waited(since: attempt.offeredAt, now: now)
            sendings[index].reason = nil
            sendings[index].retry.connected(now: now)
            demands.append(.answered)
        }
        guard let wait = attempt.answeredAfter, !before.isAccepted else { return }
        sendings[index].isAccepted = true
        // A receiver who has accepted looks for the relay too, and may be later than this side.
        sendings[index].waits = true
        order.accepted(sendings[index].job.transfer, after: wait)
    }

    /// Bytes of one content flow.
    private mutating func moved(_ index: Int, now: NIODeadline) {
        sendings[index].retry.started(now: now)
        receiverMoved(sendings[index].job.peer, now: now)
    }

    /// A receiver that is busy with one content is there for the others.
    private mutating func receiverMoved(_ peer: PeerName, now: NIODeadline) {
        for index in sendings.indices where sendings[index].job.peer == peer {
            sendings[index].retry.othersMoved(now: now)
        }
    }

    /// The relay has let an offer wait: tells the person when that comes to much, once for each connection.
    private mutating func waited(since asked: NIODeadline, now: NIODeadline) {
        if waits.waited(since: asked, now: now) { environment.reportSlowness() }
    }

    // MARK: - The end of a try

    private mutating func conclude(_ index: Int, now: NIODeadline) {
        guard let attempt = sendings[index].attempt, let outcome = attempt.outcome else { return }
        let (job, result) = (attempt.job, attempt.result)
        sendings[index].attempt = nil
        sendings[index].isAgain = true
        sendings[index].known = result.summary ?? sendings[index].known
        attempt.forget()
        if result.isAccepted { receiverMoved(job.peer, now: now) }
        if case .delivered(let payload) = outcome { return delivered(index, payload) }
        if case .timedOut = outcome, result.isTaken, !result.hasRung { order.waitedInVain(for: job.peer) }
        if case .refused(.peerOffline) = outcome, !sendings[index].isAccepted, order.postpone(job.transfer) {
            sendings.remove(at: index)
            return
        }
        if isInterrupted { return fail(index, .interrupted, telling: nil) }
        let failure = AttemptFailure(outcome, result, of: transfer(index))
        let isOnLine = attempt.connection == outbox?.number
        recover(index, from: failure, isOnLine: isOnLine, now: now)
    }

    /// That there is no other try of what may have arrived; nil where it was not sent whole.
    private func unconfirmed(_ index: Int, _ reason: String, _ status: ExitStatus) -> ClientError? {
        let sending = sendings[index]
        return sending.known.map { _ in AttemptFailure.unconfirmed(by: sending.job.peer, reason, status) }
    }

    /// What is known about a content besides its last try.
    private func transfer(_ index: Int) -> AttemptFailure.Transfer {
        let sending = sendings[index]
        return .init(
            peer: sending.job.peer, relay: "\(environment.relay)", patience: patience, reason: sending.reason,
            hasMissedReceiver: order.hasMissed(sending.job.peer), wasAccepted: sending.isAccepted,
            isAllSent: sending.known != nil
        )
    }

    /// Waits for the next try, or says why there is none.
    ///
    /// - Parameter isOnLine: whether the try was made on the connection that stands.
    private mutating func recover(_ index: Int, from failure: AttemptFailure, isOnLine: Bool, now: NIODeadline) {
        let job = sendings[index].job
        switch sendings[index].retry.failed(failure.decision, now: now, using: &generator) {
        case .fail: fail(index, failure.error, telling: nil)
        case .giveUp: giveUp(index, failure.reason)
        case .tryAgain(let pause, attempt: _):
            guard job.source.isRepeatable else {
                let (reason, status) = (failure.reason, failure.error.status)
                let line = "\(reason), and \(job.source.name) cannot be read a second time; run the command again"
                let error = unconfirmed(index, reason, status) ?? .command(line, status)
                return fail(index, error, telling: .cannotRead)
            }
            let isNews = sendings[index].reason != failure.reason
            sendings[index].reason = failure.reason
            sendings[index].notBefore = now + pause
            guard let next = failure.next else {
                if isOnLine { demands.append(.leave(failure.decision, reason: failure.reason)) }
                return
            }
            guard isNews else { return }
            let left = sendings[index].retry.deadline.map {
                " (until --timeout, \(AttemptFailure.description(of: $0 - now)))"
            }
            environment.reporter.report(.introduced(job.label))
            environment.reporter.report(
                .interrupted(job.transfer, message: "\(failure.reason); \(next)\(left ?? "")")
            )
        }
    }

    // MARK: - The end of a content

    /// Only the receiver's own word, about exactly what was sent, is a delivery.
    private mutating func delivered(_ index: Int, _ payload: Payload) {
        let sending = sendings[index]
        guard let delivered = PayloadCoding.delivered(payload), let summary = sending.known,
            delivered.confirms(summary)
        else {
            let failure = TransferFailure(.verificationFailed, side: .sender, peer: sending.job.peer)
            return fail(index, .transfer(failure), telling: nil)
        }
        end(index)
        environment.reporter.report(.delivered(sending.job.transfer, bytes: summary.size, sha256: summary.hex))
    }

    private mutating func giveUp(_ index: Int, _ reason: String) {
        // The same outage is not waited for once more by the next content.
        demands.append(.waitedInVain)
        fail(index, AttemptFailure.gaveUp(on: transfer(index), reason), telling: .timedOut)
    }

    /// - Parameter code: why, for a receiver that waits for the next try; nil where it knows.
    private mutating func fail(_ index: Int, _ error: ClientError, telling code: FailureCode?) {
        let sending = sendings[index]
        if let code, sending.isAccepted, let outbox { sayGoodbye(sending.job, code, on: outbox) }
        end(index)
        let word = if case .transfer(let failure) = error { failure.code.rawValue } else { error.status.code }
        environment.reporter.report(.introduced(sending.job.label))
        environment.reporter.report(.failed(sending.job.transfer, code: word, message: error.description))
        failures.append((sending.number, error.status))
    }

    /// Nothing stands that could be cancelled, and a receiver that has accepted waits for the content to come again: it
    /// is told by an offer that is cancelled at once.
    private func sayGoodbye(_ job: SendJob, _ code: FailureCode, on outbox: Outbox) {
        let transfer = TransferID.random()
        guard let offer = SendAttempt.offer(job, as: transfer, waits: false, id: outbox.nextID()) else { return }
        outbox.post(.offer(offer))
        outbox.post(.cancel(.init(id: outbox.nextID(), transfer: transfer, code: code)))
    }

    private mutating func end(_ index: Int) {
        let job = sendings.remove(at: index).job
        order.ended(job.transfer)
        job.source.close()
    }
}
