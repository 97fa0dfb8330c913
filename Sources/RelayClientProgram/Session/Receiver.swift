// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// Receives whatever is offered and accepted over a session's connection, several contents at once: feeds a
/// ``ReceiveMachine`` for each, and a ``ReceiverMachine`` for all of them, and runs their actions.
struct Receiver: SessionPart {
    private let environment: SessionEnvironment
    private let queue: EventQueue<SessionEvent>
    private let settings: ReceiveSettings
    /// Asks the person; nil declines what the policy does not accept.
    private let ask: (@Sendable (TransferLabel) async -> Bool)?
    private var machine: ReceiverMachine
    private var transfers = IncomingTransfers()
    private var outbox: Outbox?
    private var presenceID: RequestID?
    private var demands: [ConnectionDemand] = []
    private var cleanups: CleanupTasks

    /// - Parameter ask: asks the person whether to accept.
    init(
        _ settings: ReceiveSettings, ask: (@Sendable (TransferLabel) async -> Bool)?, environment: SessionEnvironment,
        queue: EventQueue<SessionEvent>
    ) {
        self.settings = settings
        self.ask = ask
        self.environment = environment
        self.queue = queue
        machine = ReceiverMachine(isOnce: settings.isOnce)
        cleanups = CleanupTasks(queue)
    }

    // MARK: - As a part of a session

    var ending: SessionEnding? {
        switch machine.ending {
        case .done?: .status(.done)
        case .failed(.interrupted, isReported: _)?: .status(.interrupted)
        case .failed(let error, isReported: true)?: .status(error.status)
        case .failed(let error, isReported: false)?: .failed(error)
        case nil: nil
        }
    }

    var needsConnection: Bool { true }
    var isUnderWay: Bool { transfers.running.all > 0 }

    var deadline: NIODeadline? { [transfers.deadline, machine.deadline].compactMap { $0 }.min() }

    mutating func takeDemands() -> [ConnectionDemand] {
        defer { demands = [] }
        return demands
    }

    func owns(_ transfer: TransferID) -> Bool { transfers[transfer] != nil }

    mutating func connected(_ outbox: Outbox, now: NIODeadline) {
        (self.outbox, transfers.waits) = (outbox, AnswerWaits())
        run(machine.connected(now: now))
    }

    mutating func disconnected(_ error: ConnectionError?, now: NIODeadline) {
        outbox = nil
        machine.disconnected()
        for id in transfers.ids {
            transfers[id]?.disconnected(error)
            step(id, now: now) { $0.connectionLost() }
        }
    }

    mutating func unreachable(_ error: ConnectionError, now: NIODeadline) { machine.unreachable(error) }

    mutating func received(_ message: ServerMessage, on outbox: Outbox, now: NIODeadline) {
        switch message {
        case .ring(let ring): return rung(ring, on: outbox, now: now)
        case .ok(let answer) where answer.id == presenceID: return run(machine.announced())
        case .error(let refusal) where refusal.id == presenceID:
            let (name, relay) = (environment.name, environment.relay)
            return run(machine.refused(ConnectionError(refused: refusal.code, name: name, relay: relay)))
        default: break
        }
        guard let id = outbox.transfer(of: message) else { return }
        transfers[id]?.heard(message)
        if transfers.isAnsweredSlowly(id, now: now) { environment.reportSlowness() }
        step(id, now: now) { $0.received(message) }
    }

    mutating func worked(_ event: WorkEvent, on id: TransferID, now: NIODeadline) {
        switch event {
        case .decided(let verdict): decided(id, verdict, now: now)
        case .download(.report(let report)): environment.reporter.report(report)
        case .download(.ended(.success(let summary))): downloaded(id, summary, now: now)
        case .download(.ended(.failure(let error))): downloadFailed(id, error, now: now)
        case .stored(let result): stored(id, result, now: now)
        case .upload, .rewound: break
        }
    }

    mutating func cleanedUp(_ number: UInt64) { cleanups.ended(number) }

    mutating func deadlinePassed(now: NIODeadline) {
        for id in transfers.ids { step(id, now: now) { $0.deadlinePassed(now: now) } }
        run(machine.deadlinePassed(now: now))
    }

    mutating func interrupted(now: NIODeadline) {
        for id in transfers.ids { step(id, now: now) { $0.cancelledByUser() } }
        machine.interrupted()
    }

    /// Ends. Open offers are not declined: the relay rings the name's other sessions, or the next one, for them.
    mutating func stop() {
        // After an interrupt, some are just being stored: they may keep their name, or leave nothing.
        for transfer in transfers.all { tidyUp(transfer) }
    }

    func stopped() async { await cleanups.wait() }

    private mutating func run(_ actions: [ReceiverMachine.Action]) {
        for action in actions {
            switch action {
            case .announce:
                guard let outbox else { continue }
                let id = outbox.nextID()
                presenceID = id
                outbox.post(.presence(.init(id: id, receiving: true)))
            case .answered: demands.append(.answered)
            case .reportReady: environment.reporter.report(.ready(environment.name))
            case .leave(let decision, let reason): demands.append(.leave(decision, reason: reason))
            case .reportTooManyOffers:
                let count = "\(Defaults.mostRings) offers wait for an answer"
                environment.reporter.report(
                    .warning("\(count), and more are left unanswered; answer these, then run receive again")
                )
            }
        }
    }

    // MARK: - An offer

    /// A content is offered: judge it, or ask.
    private mutating func rung(_ ring: ServerMessage.Ring, on outbox: Outbox, now: NIODeadline) {
        guard transfers[ring.transfer] == nil else { return }
        guard transfers.count < Defaults.mostRings else { return run(machine.leftUnanswered()) }
        let offer = PayloadCoding.offer(ring.payload)
        let key = offer?.attempt.map { OfferMemory.Key(sender: ring.key, identity: $0) }
        var label = TransferLabel(
            transfer: ring.transfer, direction: .receive, peer: ring.from, name: offer?.name ?? "?", size: offer?.size
        )
        guard machine.takes(isHere: transfers.stored(key, label) != nil) else { return }
        let isAgain = transfers.recognize(key, &label)
        transfers.append(IncomingTransfer(ring, key: key, label: label, on: outbox))
        guard offer != nil else { return decided(ring.transfer, .decline(.protocolError), now: now) }
        if !isAgain { environment.reporter.report(.offered(label)) }
        switch settings.policy.judge(from: ring.from, size: label.size) {
        case .ask where !isAgain: ask(ring.transfer, label, now: now)
        case .ask, .accept: decided(ring.transfer, .accept, now: now)
        case .decline(let code): decided(ring.transfer, .decline(code), now: now)
        }
    }

    private mutating func ask(_ id: TransferID, _ label: TransferLabel, now: NIODeadline) {
        guard let ask else { return decided(id, .decline(.declined), now: now) }
        do throws(FileError) {
            // The user is not asked about content that has no room. Until it is accepted, the free space may shrink.
            try settings.output.checkRoom(name: label.name, size: label.size)
        } catch {
            return cannotStore(id, error, now: now)
        }
        let queue = queue
        transfers[id]?.work = Task {
            queue.post(.work(id, .decided(await ask(label) ? .accept : .decline(.declined))))
        }
    }

    /// The person, or the policy, has answered.
    private mutating func decided(_ id: TransferID, _ verdict: ReceivePolicy.Verdict, now: NIODeadline) {
        switch verdict {
        case .accept: transfers[id]?.accepted()
        case .decline(let code): step(id, now: now) { $0.decided(.decline(code), now: now) }
        case .ask: break
        }
    }

    /// Accepts those whose turn it is.
    mutating func advance(on outbox: Outbox?, now: NIODeadline) {
        let most = settings.parallelDownloads
        var running = transfers.running
        for id in transfers.ids {
            // A node that is being left, and a session that is over, take nothing more.
            guard outbox != nil, machine.ending == nil, running.all < most.all else { return }
            guard let transfer = transfers[id], transfer.isQueued, transfer.isSmall || running.large < most.large,
                !transfers.isBusy(transfer)
            else { continue }
            let summary = transfers.stored(transfer.key, transfer.label)
            guard machine.takes(isHere: summary != nil) else { continue }
            transfers[id]?.dequeued(known: summary)
            guard let payload = PayloadCoding.encode(AcceptPayload(offset: 0)) else { continue }
            do throws(FileError) {
                if summary == nil {
                    let sink = try settings.output.makeSink(name: transfer.label.name, size: transfer.label.size)
                    transfers[id]?.sink = sink
                    running.all += 1
                    if !transfer.isSmall { running.large += 1 }
                }
                step(id, now: now) { $0.decided(.accept(payload), now: now) }
            } catch {
                cannotStore(id, error, now: now)
            }
        }
    }

    private mutating func cannotStore(_ id: TransferID, _ error: FileError, now: NIODeadline) {
        transfers[id]?.failed(.file(error))
        step(id, now: now) { $0.decided(.decline(error.failureCode ?? .cannotWrite), now: now) }
    }

    // MARK: - A transfer

    /// Feeds the machine of one transfer and runs its actions.
    private mutating func step(
        _ id: TransferID, now: NIODeadline, _ event: (inout ReceiveMachine) -> [ReceiveMachine.Action]
    ) {
        for action in transfers[id]?.step(event) ?? [] {
            switch action {
            case .send(let message): transfers[id]?.post(message, now: now)
            case .startDownload: startDownload(id, now: now)
            case .cutStream, .abandon: transfers[id]?.work?.cancel()
            case .report(let outcome): finish(id, outcome, now: now)
            }
        }
    }

    private mutating func startDownload(_ id: TransferID, now: NIODeadline) {
        guard let transfer = transfers[id], let start = transfer.start else { return }
        if let known = transfer.known {
            // The content came with an earlier transfer, and its sender does not know.
            transfers[id]?.summary = known
            step(id, now: now) { $0.downloadFinished() }
            return tellDelivered(id, now: now)
        }
        guard let sink = transfer.sink else { return }
        if let key = transfer.key { transfers.memory.forget(key) }
        let request = DownloadRequest(
            start: start, label: transfer.label, sink: sink, limit: settings.policy.maximumSize,
            progress: transfer.progress(environment.clock)
        )
        let queue = queue
        let work = environment.streams.download(request) { event in queue.post(.work(id, .download(event))) }
        transfers[id]?.work = work
    }

    /// Everything is there and verified: store it.
    private mutating func downloaded(_ id: TransferID, _ summary: ContentSummary, now: NIODeadline) {
        guard let sink = transfers[id]?.sink else { return }
        transfers[id]?.summary = summary
        step(id, now: now) { $0.downloadFinished() }
        guard let label = transfers[id]?.label else { return }
        environment.reporter.report(.verifying(label.transfer))
        let queue = queue
        transfers[id]?.work = Task {
            do throws(ClientError) {
                queue.post(.work(id, .stored(.success(try await sink.finish()))))
            } catch {
                queue.post(.work(id, .stored(.failure(error))))
            }
        }
    }

    /// The download ended badly: the stream broke, or what came cannot be kept.
    private mutating func downloadFailed(_ id: TransferID, _ error: ClientError, now: NIODeadline) {
        transfers[id]?.failed(error)
        step(id, now: now) { machine in
            guard let stream = error.stream else { return machine.storeFailed(error.failureCode(or: .cannotWrite)) }
            return machine.downloadFailed(stream.failure(as: .download), now: now)
        }
    }

    private mutating func stored(_ id: TransferID, _ result: Result<StoredContent, ClientError>, now: NIODeadline) {
        switch result {
        case .success(let content):
            transfers[id]?.stored = content
            tellDelivered(id, now: now)
        case .failure(let error):
            transfers[id]?.failed(error)
            step(id, now: now) { $0.storeFailed(error.failureCode(or: .cannotWrite)) }
        }
    }

    /// It has its final name: tell the sender.
    private mutating func tellDelivered(_ id: TransferID, now: NIODeadline) {
        guard let summary = transfers[id]?.summary, let payload = PayloadCoding.encode(DeliveredPayload(summary))
        else { return }
        step(id, now: now) { $0.stored(payload, now: now) }
    }

    // MARK: - The end of a transfer

    /// It is over: tell the person, tidy up, and leave if that was all.
    private mutating func finish(_ id: TransferID, _ outcome: ReceiveMachine.Outcome, now: NIODeadline) {
        guard let transfer = transfers.remove(id) else { return }
        transfer.outbox.forget(id)
        let decision = RetryDecision(outcome, stream: transfer.cause?.stream, lost: transfer.lost)
        if case .unanswered = outcome { leave(.elsewhere, "the relay does not answer", transfer) }
        if transfer.known != nil { return confirmed(transfer, outcome) }
        if case .received(let isConfirmed) = outcome { return received(transfer, isConfirmed: isConfirmed, now: now) }
        let error = ClientError(receiving: outcome, cause: transfer.cause, from: transfer.label.peer)
        tidyUp(transfer)
        guard decision.isPassing, machine.ending == nil, rememberAcceptance(transfer, error) else {
            return failed(transfer, error)
        }
        if case .refused(let code) = outcome, case .passing(_, elsewhere: true) = decision {
            leave(decision, code.message, transfer)
        }
    }

    /// Another node is wanted, unless the transfer was on an earlier connection.
    private mutating func leave(_ decision: RetryDecision, _ reason: String, _ transfer: IncomingTransfer) {
        if transfer.outbox.number == outbox?.number { demands.append(.leave(decision, reason: reason)) }
    }

    /// A transfer is over for good.
    private mutating func failed(_ transfer: IncomingTransfer, _ error: ClientError) {
        let problem = IncomingTransfer.problem(error)
        report(problem, of: transfer.label)
        // An offer that this client never accepted cannot have been received before.
        let wasAccepted = transfer.sink != nil || transfers.recalled(transfer) != nil
        if let key = transfer.key { transfers.memory.forget(key) }
        machine.failed(error, isTheOne: wasAccepted || transfer.cause?.file != nil, isSpoilt: transfer.isSpoilt)
    }

    private func report(_ problem: OfferMemory.Problem, of label: TransferLabel) {
        environment.reporter.report(.failed(label.transfer, code: problem.code, message: problem.message))
    }

    /// A transfer broke for a reason that may pass: remembers what was accepted. False when it is over all the same.
    private mutating func rememberAcceptance(_ transfer: IncomingTransfer, _ error: ClientError) -> Bool {
        let label = transfer.label
        guard transfer.isRunning else {
            // It is offered again, or it is not; what was decided about it stays so.
            if transfers.recalled(transfer) == nil { environment.reporter.report(.withdrawn(label.transfer)) }
            return true
        }
        guard transfer.mayComeAgain, let key = transfer.key else { return false }
        let problem = IncomingTransfer.problem(error)
        // One line for each break, however many tries come to nothing before bytes flow again.
        let isNews = transfers.recalled(transfer)?.problem != problem
        forgotten(transfers.memory.rememberAcceptance(key, label, problem))
        if isNews {
            environment.reporter.report(.interrupted(label.transfer, message: transfer.news(of: error)))
        }
        return true
    }

    /// What broke has not come again, while so much else came that it is not kept in mind any more.
    private mutating func forgotten(_ interrupted: OfferMemory.Interrupted?) {
        guard let interrupted else { return }
        let problem = interrupted.problem
        report(problem, of: interrupted.label)
        machine.failed(.command(problem.message, problem.status), isTheOne: true, isSpoilt: false)
    }

    /// The sender of something that was here already has been told, or could not be.
    private mutating func confirmed(_ transfer: IncomingTransfer, _ outcome: ReceiveMachine.Outcome) {
        guard case .received(isConfirmed: true) = outcome else { return }
        environment.reporter.report(.detail("\(transfer.label.peer) knows now that it arrived"))
        machine.confirmed()
    }

    private mutating func received(_ transfer: IncomingTransfer, isConfirmed: Bool, now: NIODeadline) {
        guard let stored = transfer.stored, let summary = transfer.summary else { return }
        let (id, peer, reporter) = (transfer.label.transfer, transfer.label.peer, environment.reporter)
        if let key = transfer.key { forgotten(transfers.memory.finished(key, summary)) }
        reporter.report(.received(id, path: stored.path, bytes: summary.size, sha256: summary.hex))
        if !isConfirmed { reporter.report(.warning("\(peer) may not have heard that it arrived")) }
        if let command = settings.command {
            let finished = FinishedFile(content: stored, from: peer, size: summary.size, transfer: id)
            cleanups.start { if let problem = await finished.run(command) { reporter.report(.warning(problem)) } }
        }
        // The sender comes back to hear of it.
        let isAwaited = !isConfirmed && !transfer.isEndedByPeer && transfer.key != nil
        machine.received(isAwaited: isAwaited, now: now)
    }

    /// Stops what runs for it, and removes the part file once nothing writes to it any more.
    private mutating func tidyUp(_ transfer: IncomingTransfer) {
        transfer.work?.cancel()
        guard let sink = transfer.sink else { return }
        cleanups.start {
            await transfer.work?.value
            await sink.discard()
        }
    }
}
