// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// Sends contents over a session's connection, several at a time where that is worth it, each with as many tries as it
/// takes: tells each transfer what happens to it, and decides with what it knows of all of them.
struct Sender: SessionPart {
    let environment: SessionEnvironment
    private let queue: EventQueue<SessionEvent>
    /// How long to go on while no bytes flow.
    private let patience: TimeAmount
    private(set) var jobs: SendJobs
    /// Whether it sends what others ask for, and goes on until it is stopped.
    let isSharing: Bool
    private var order: SendQueue
    private(set) var sendings: [Sending] = []
    private var count = 0
    /// What was offered once, under the ids that are shown: no id is that of two attempts.
    private var offered: Set<TransferID> = []
    /// The statuses of what was not delivered.
    private var failures: [(number: Int, status: ExitStatus)] = []
    private var demands: [ConnectionDemand] = []
    /// The connection that stands, for the last word to a receiver.
    private var outbox: Outbox?
    /// How long this connection has waited for answers.
    private var waits = AnswerWaits()
    /// What this connection's relay says about the receivers.
    private var lookups = PeerLookups()
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
        self.jobs = SendJobs(jobs)
        order = SendQueue(jobs.map(\.item), waits: waits)
        self.patience = patience
        self.environment = environment
        self.queue = queue
        isSharing = false
        for job in jobs { job.tree.pipe?.whenDropped { queue.post(.work(job.shownID, .dropped)) } }
    }

    /// Sends what others ask for, which ``add(_:)`` brings. Each gets one try, unless it changes meanwhile: who asked
    /// asks again.
    init(sharingIn environment: SessionEnvironment, queue: EventQueue<SessionEvent>) {
        jobs = SendJobs()
        order = SendQueue(mostAnswers: Defaults.parallelAnswers)
        patience = TransferDefaults.patience
        self.environment = environment
        self.queue = queue
        isSharing = true
    }

    /// Sends what was asked for when its turn comes.
    mutating func add(_ job: SendJob) {
        guard jobs.add(job) else {
            if let index = sendings.firstIndex(where: { $0.job.shownID == job.shownID }) {
                sendings[index].tell { $0.superseded() }
            }
            return
        }
        // A long time may have gone since it was asked last.
        if lookups.peer(job.peer) != nil { lookups.forget(job.peer) }
        order.append(job.item)
    }

    // MARK: - As a part of a session

    var deadline: NIODeadline? {
        let mayBeSlow = outbox != nil && !waits.isTold
        return ([lookups.deadline] + sendings.map { $0.deadline(mayBeSlow: mayBeSlow) }).compactMap(\.self).min()
    }

    mutating func takeDemands() -> [ConnectionDemand] {
        defer { demands = [] }
        return demands
    }

    mutating func connected(_ outbox: Outbox, now: NIODeadline) {
        (self.outbox, waits, lookups) = (outbox, AnswerWaits(), PeerLookups())
    }

    mutating func moved(to outbox: Outbox, now: NIODeadline) {
        connected(outbox, now: now)
        // What others have asked for is theirs to ask for again.
        for index in sendings.indices where !isSharing { sendings[index].move() }
    }

    mutating func disconnected(_ error: ConnectionError?, now: NIODeadline) {
        lost(outbox?.number, error, now: now)
        outbox = nil
    }

    mutating func disconnected(_ error: ConnectionError?, former connection: UInt64, now: NIODeadline) {
        lost(connection, error, now: now)
    }

    private mutating func lost(_ connection: UInt64?, _ error: ConnectionError?, now: NIODeadline) {
        for index in sendings.indices {
            if let connection { sendings[index].formerLost(connection) }
            guard sendings[index].attempt.map({ $0.connection == connection }) ?? (outbox?.number == connection) else {
                continue
            }
            update(index, now: now) { $0.connectionLost(error) }
            if let error { sendings[index].delivery.connectionLost(error.summary) }
        }
    }

    mutating func unreachable(_ error: ConnectionError, now: NIODeadline) {
        while let index = sendings.firstIndex(where: { $0.attempt == nil }) {
            fail(index, sendings[index].unconfirmed(error.summary, error.status) ?? .connection(error), telling: nil)
        }
    }

    mutating func received(_ message: ServerMessage, on outbox: Outbox, now: NIODeadline) {
        switch message {
        // Answers about names that came by a connection before are not asked for on this one.
        case _ where outbox.number != self.outbox?.number: break
        // The offers go out with the next step.
        case .peer(let peer):
            _ = lookups.answered(peer)
            return
        case .error(let refusal):
            if let peer = lookups.refused(refusal.id) { return notFound(peer, .refused(refusal.code), now: now) }
        default: break
        }
        guard let transfer = outbox.transfer(of: message) else { return }
        if let index = sendings.firstIndex(where: { $0.former?.transfer == transfer }) {
            guard sendings[index].takesBackFormer(on: message, now: now) else { return }
        }
        guard let index = sendings.firstIndex(where: { $0.attempt?.transfer == transfer }) else { return }
        update(index, now: now) { $0.received(message, now: now) }
    }

    mutating func worked(_ event: WorkEvent, on transfer: TransferID, now: NIODeadline) {
        switch event {
        case .upload(let event):
            guard let index = sendings.firstIndex(where: { $0.attempt?.transfer == transfer }) else { return }
            if case .streaming = event {
                sendings[index].delivery.started(now: now)
                receiverMoved(sendings[index].job.peer, now: now)
            }
            update(index, now: now) { $0.uploadChanged(event, now: now) }
        case .rechecked(let error): rechecked(transfer, error, now: now)
        case .rescanned(let result): rescanned(transfer, result, now: now)
        case .dropped: dropped(transfer)
        case .prepared, .decided, .download, .stored, .shared: break
        }
    }

    mutating func deadlinePassed(now: NIODeadline) {
        let busy = Set(sendings.lazy.filter(\.delivery.isStreaming).map(\.job.peer))
        for index in sendings.indices {
            update(index, now: now) { $0.deadlinePassed(now: now) }
            let isReceiverBusy = busy.contains(sendings[index].job.peer)
            if sendings[index].delivery.deadlinePassed(isReceiverBusy: isReceiverBusy, now: now) {
                update(index, now: now) { $0.timedOut() }
            }
        }
        while let index = sendings.firstIndex(where: { $0.delivery.state == .over }) {
            giveUp(index, sendings[index].delivery.reason ?? "\(environment.relay) had not answered yet")
        }
        for asked in sendings.compactMap(\.askedAt) { waited(since: asked, now: now) }
        for peer in lookups.deadlinePassed(now: now) { notFound(peer, .unanswered, now: now) }
    }

    mutating func interrupted(now: NIODeadline) {
        isInterrupted = true
        for index in sendings.indices {
            sendings[index].withdrawFormer()
            update(index, now: now) { $0.interrupted() }
        }
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
        guard sendings.isEmpty, ending == nil, !isSharing || isInterrupted else { return }
        let status = failures.min { $0.number < $1.number }?.status ?? .done
        ending = .status(isInterrupted ? .interrupted : status)
    }

    /// Ends. What is on its way to others, they ask for again: they are not told that they shall not have it.
    mutating func stop() {
        for index in sendings.indices where isSharing { sendings[index].tell { $0.connectionLost(nil) } }
    }

    /// Takes what may go now. Returns whether there was anything.
    @discardableResult
    private mutating func fill(now: NIODeadline) -> Bool {
        let before = count
        while !isInterrupted, let (item, waits) = order.next() {
            guard let job = jobs[item.transfer] else { continue }
            count += 1
            sendings.append(Sending(job, number: count, .init(waits: waits, patience: patience, now: now)))
        }
        return count > before
    }

    // MARK: - Offers

    private mutating func offer(on outbox: Outbox, now: NIODeadline) {
        for index in sendings.indices where sendings[index].delivery.isDue(now: now) {
            let peer = sendings[index].job.peer
            lookUp(peer, on: outbox, now: now)
            // Then the receiver can be told what is found.
            guard sendings[index].delivery.needsCheck, lookups.peer(peer) != nil else { continue }
            sendings[index].delivery.rechecks()
            sendings[index].job.recheck(telling: queue)
        }
        while let index = sendings.firstIndex(where: {
            $0.delivery.isDue(now: now) && !$0.delivery.needsCheck && lookups.peer($0.job.peer) != nil
        }) { offer(index, on: outbox, now: now) }
    }

    /// Asks who a receiver is, unless that was asked.
    private mutating func lookUp(_ peer: PeerName, on outbox: Outbox, now: NIODeadline) {
        guard lookups.isUnasked(peer) else { return }
        let id = outbox.nextID()
        lookups.asked(peer, as: id, now: now)
        outbox.post(.lookup(.init(id: id, name: peer)))
    }

    /// The relay does not say who a receiver is.
    private mutating func notFound(_ peer: PeerName, _ outcome: SendMachine.Outcome, now: NIODeadline) {
        let waiting = sendings.filter { $0.job.peer == peer && $0.delivery.isDue(now: now) }.map(\.job.shownID)
        for id in waiting {
            guard let index = sendings.firstIndex(where: { $0.job.shownID == id }), !sendings[index].revert() else {
                continue
            }
            let failure = AttemptFailure(outcome, AttemptResult(), of: transfer(index))
            recover(index, from: failure, isOnLine: true, now: now)
        }
    }

    private mutating func offer(_ index: Int, on outbox: Outbox, now: NIODeadline) {
        let sending = sendings[index]
        // The first attempt of a new transfer has its id, so that the relay's log and both sides' name one.
        let isFirst = !sending.job.isGoingOn && offered.insert(sending.job.shownID).inserted
        let transfer = isFirst ? sending.job.shownID : TransferID.random()
        do throws(ClientError) {
            let sealed = try sending.job.seal(as: transfer, to: lookups.peer(sending.job.peer), in: environment)
            let attempt = SendAttempt(
                sending.job, sealed, waits: sending.mayWait, after: sending.former, on: outbox,
                environment: environment, now: now, tell: { [queue] in queue.post(.work(transfer, .upload($0))) }
            )
            guard let attempt else { throw .sealing(.malformed(.offer)) }
            sendings[index].begin(attempt)
        } catch {
            fail(index, error, telling: nil)
        }
    }

    private mutating func rechecked(_ transfer: TransferID, _ error: ClientError?, now: NIODeadline) {
        // An attempt that counts again finds out by itself.
        guard let index = sendings.firstIndex(where: { $0.job.shownID == transfer }),
            sendings[index].delivery.state == .rechecking
        else { return }
        guard let error else { return sendings[index].delivery.rechecked() }
        guard let change = error.change else { return fail(index, error, telling: .cannotRead) }
        // The receiver still waits for what it was.
        if sendings[index].delivery.isAccepted { sayGoodbye(to: sendings[index].job, .sourceChanged) }
        changed(index, change, now: now)
    }

    // MARK: - What has changed

    /// The content is not what it was when it was looked at: looks at it once more, to send what is there now as
    /// another transfer. The receiver has been told so.
    private mutating func changed(_ index: Int, _ change: FileError, now: NIODeadline) {
        let (old, reporter) = (sendings[index].job, environment.reporter)
        if let error = sendings[index].restart(change, now: now) {
            return fail(index, .file(error), telling: .cannotRead)
        }
        let job = sendings[index].job
        forget(old)
        if isSharing { offered.remove(old.shownID) }
        order.becomes(old.shownID, job.shownID)
        jobs.become(old, job)
        reporter.report(.introduced(old.label))
        reporter.report(
            .restarted(old.shownID, as: job.shownID, message: "\(change.what); it is sent again from the beginning"))
        // What is left out was said when it was looked at first.
        job.rescan(telling: queue) { reporter.report(.detail($0)) }
    }

    private mutating func rescanned(
        _ transfer: TransferID, _ result: Result<SourceTree, ClientError>, now: NIODeadline
    ) {
        guard let index = sendings.firstIndex(where: { $0.job.shownID == transfer }) else { return }
        switch result {
        case .success(let tree):
            let job = sendings[index].job
            jobs.replace(job, by: job.with(tree))
            sendings[index].job = job.with(tree)
            sendings[index].delivery.rescanned()
        case .failure(let error):
            // While it was looked at, something in it was changed once more.
            if let change = error.change { return changed(index, change, now: now) }
            fail(index, error, telling: .cannotRead)
        }
    }

    /// The others have waited for this receiver of the same input too long. One that is being sent to ends by itself.
    private mutating func dropped(_ transfer: TransferID) {
        guard let index = sendings.firstIndex(where: { $0.job.shownID == transfer }) else { return }
        sendings[index].delivery.dropped()
        if sendings[index].delivery.state == .over {
            fail(index, SourcePipe.dropping(sendings[index].job.peer), telling: .timedOut)
        } else {
            sendings[index].tell { if !$0.isUploading { $0.timedOut() } }
        }
    }

    /// Lets one try know of something.
    private mutating func update(_ index: Int, now: NIODeadline, _ event: (inout SendAttempt) -> Void) {
        guard let before = sendings[index].attempt?.result, let attempt = sendings[index].tell(event) else { return }
        if attempt.result.isTaken, !before.isTaken {
            waited(since: attempt.offeredAt, now: now)
            sendings[index].delivery.taken(now: now)
            demands.append(.answered)
        }
        guard let wait = attempt.answeredAfter, !before.isAccepted else { return }
        if !isSharing { sendings[index].remember(attempt.receiver, in: environment) }
        sendings[index].delivery.accepted()
        order.accepted(sendings[index].job.shownID, after: wait)
    }

    /// A receiver that is busy with one content is there for the others.
    private mutating func receiverMoved(_ peer: PeerName, now: NIODeadline) {
        for index in sendings.indices where sendings[index].job.peer == peer {
            sendings[index].delivery.othersMoved(now: now)
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
        if !outcome.isOfPeer, sendings[index].revert() { return }
        sendings[index].conclude()
        if result.isAccepted { receiverMoved(job.peer, now: now) }
        if case .delivered(let payload) = outcome { return delivered(index, attempt.opened(payload)) }
        if case .timedOut = outcome, result.isTaken, !result.hasRung { order.waitedInVain(for: job.peer) }
        if sendings[index].delivery.state == .over { return fail(index, SourcePipe.dropping(job.peer), telling: nil) }
        if isInterrupted { return fail(index, .interrupted, telling: nil) }
        if isSharing, outcome.isUnwanted(wasAccepted: result.isAccepted) {
            environment.reporter.report(.detail("\(job.peer) does not need \(TransferText.quoted(job.label)) any more"))
            return end(index)
        }
        let failure = AttemptFailure(outcome, result, of: transfer(index))
        let isOnLine = attempt.connection == outbox?.number
        recover(index, from: failure, isOnLine: isOnLine, now: now)
    }

    /// What is known about a content besides its last try.
    private func transfer(_ index: Int) -> AttemptFailure.Transfer {
        sendings[index].transfer(
            over: environment.relay, patience, hasMissedReceiver: order.hasMissed(sendings[index].job.peer)
        )
    }

    /// Waits for the next try, or says why there is none.
    ///
    /// - Parameter isOnLine: whether the try was made on the connection that stands.
    private mutating func recover(_ index: Int, from failure: AttemptFailure, isOnLine: Bool, now: NIODeadline) {
        let job = sendings[index].job
        if let change = failure.error.change { return changed(index, change, now: now) }
        if isSharing {
            if failure.decision == .outdated { lookups.forget(job.peer) }
            if isOnLine, failure.next == nil { demands.append(.leave(failure.decision, reason: failure.reason)) }
            return fail(index, failure.error, telling: nil)
        }
        let isRepeatable = job.tree.isRepeatable
        switch sendings[index].delivery.failed(failure, isRepeatable: isRepeatable, now: now, using: &generator) {
        case .fail: fail(index, failure.error, telling: nil)
        case .giveUp: giveUp(index, failure.reason)
        case .unrepeatable:
            let (reason, status) = (failure.reason, failure.error.status)
            let line = "\(reason), and \(job.tree.name) cannot be read a second time; run the command again"
            fail(index, sendings[index].unconfirmed(reason, status) ?? .command(line, status), telling: .cannotRead)
        case .tryAgain(let isNews):
            if failure.decision == .outdated { lookups.forget(job.peer) }
            guard let next = failure.next else {
                if isOnLine { demands.append(.leave(failure.decision, reason: failure.reason)) }
                return
            }
            guard isNews else { return }
            environment.reporter.report(.introduced(job.label))
            environment.reporter.report(sendings[index].interruption(failure.reason, next, now: now))
        }
    }

    // MARK: - The end of a content

    /// Only the receiver's own word, about exactly what was sent, is a delivery.
    private mutating func delivered(_ index: Int, _ stored: DeliveredSummary?) {
        let sending = sendings[index]
        guard let stored, let counts = sending.known, stored.manifest == sending.job.tree.digest,
            counts.agree(with: stored)
        else {
            let failure = TransferFailure(.verificationFailed, side: .sender, peer: sending.job.peer)
            return fail(index, .transfer(failure), telling: nil)
        }
        forget(sending.job)
        end(index)
        environment.reporter.report(stored, of: sending.job)
    }

    private mutating func giveUp(_ index: Int, _ reason: String) {
        // The same outage is not waited for once more by the next content.
        demands.append(.waitedInVain)
        fail(index, AttemptFailure.gaveUp(on: transfer(index), reason), telling: .timedOut)
    }

    /// - Parameter code: why, for a receiver that waits for the next try; nil where it knows.
    private mutating func fail(_ index: Int, _ error: ClientError, telling code: FailureCode?) {
        let sending = sendings[index]
        if let code, sending.delivery.isAwaited { sayGoodbye(to: sending.job, code) }
        end(index)
        environment.reporter.report(.introduced(sending.job.label))
        environment.reporter.report(.failed(sending.job.shownID, code: error.code, message: error.description))
        guard !isSharing else { return }
        failures.append((sending.number, error.status))
        guard sending.delivery.isAccepted, sending.job.tree.isRepeatable, !sending.job.tree.readsPipe else { return }
        if error.endsTransfer { return forget(sending.job) }
        environment.reporter.report(.kept(sending.job.label, error.isUnstored ? .unstored : .received))
    }

    /// Tells a receiver who waits for the next try that there is none.
    private func sayGoodbye(to job: SendJob, _ code: FailureCode) {
        let peer = lookups.peer(job.peer)
        guard let outbox, let sealed = try? job.seal(as: .random(), to: peer, in: environment) else { return }
        outbox.sayGoodbye(job, sealed, code)
    }

    private mutating func end(_ index: Int) {
        sendings[index].withdrawFormer()
        let job = sendings.remove(at: index).job
        order.ended(job.shownID)
        if isSharing { offered.remove(job.shownID) }
        if let next = jobs.end(job) { add(next) }
    }
}

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
