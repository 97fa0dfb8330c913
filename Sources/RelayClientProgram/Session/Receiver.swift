// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// Receives whatever is offered and accepted over a session's connection, several contents at once: feeds a
/// ``ReceiveMachine`` for each, and a ``ReceiverMachine`` for all of them, and runs their actions.
struct Receiver: SessionPart {
    let environment: SessionEnvironment
    private let queue: EventQueue<SessionEvent>
    private let settings: ReceiveSettings
    /// Asks the person; nil declines what the policy does not accept.
    private let ask: (@Sendable (OfferQuestion) async -> Bool)?
    private(set) var machine: ReceiverMachine
    private(set) var transfers = IncomingTransfers()
    private(set) var outbox: Outbox?
    private var announcement = Announcement()
    private var demands: [ConnectionDemand] = []
    private var cleanups: AttemptCleanups
    /// What was refused before the person could be asked.
    private(set) var refused = RefusedOffers()
    /// What this client has asked for, where it takes nothing else; nil where it takes what others offer.
    var requests: OpenRequests?

    /// - Parameters:
    ///   - ask: asks the person whether to accept.
    ///   - requests: where nothing is taken but what this client asks for.
    init(
        _ settings: ReceiveSettings, ask: (@Sendable (OfferQuestion) async -> Bool)?, requests: OpenRequests? = nil,
        environment: SessionEnvironment, queue: EventQueue<SessionEvent>
    ) {
        self.requests = requests
        self.settings = settings
        self.ask = ask
        self.environment = environment
        self.queue = queue
        machine = ReceiverMachine(isOnce: settings.isOnce)
        cleanups = AttemptCleanups(environment, queue)
    }

    // MARK: - As a part of a session

    mutating func takeDemands() -> [ConnectionDemand] {
        defer { demands = [] }
        return demands
    }

    /// The transfer that was stored last.
    private(set) var received: CarriedTransfer?

    /// Whether what came last was changed meanwhile, and its sender begins again by itself.
    private(set) var awaitsAnother = false

    /// Why the first that could not be stored is over for good.
    private(set) var failure: ClientError?
    /// Why what came last broke, for a reason that may pass.
    private(set) var broken: ClientError?

    /// Whether something that came is still being put away for another attempt.
    var isPuttingAway: Bool { cleanups.isPuttingAway }

    mutating func connected(_ outbox: Outbox, now: NIODeadline) {
        (self.outbox, transfers.waits) = (outbox, AnswerWaits())
        run(machine.connected(now: now))
    }

    mutating func moved(to outbox: Outbox, now: NIODeadline) { connected(outbox, now: now) }

    mutating func disconnected(_ error: ConnectionError?, now: NIODeadline) {
        let connection = outbox?.number
        outbox = nil
        machine.disconnected()
        lost(connection, error, now: now)
    }

    mutating func disconnected(_ error: ConnectionError?, former connection: UInt64, now: NIODeadline) {
        lost(connection, error, now: now)
    }

    private mutating func lost(_ connection: UInt64?, _ error: ConnectionError?, now: NIODeadline) {
        for id in transfers.ids where transfers[id]?.outbox.number == connection {
            transfers[id]?.disconnected(error)
            step(id, now: now) { $0.connectionLost() }
        }
    }

    mutating func unreachable(_ error: ConnectionError, now: NIODeadline) { machine.unreachable(error) }

    mutating func received(_ message: ServerMessage, on outbox: Outbox, now: NIODeadline) {
        if outbox.number == self.outbox?.number {
            if case .ring(let ring) = message { return rung(ring, on: outbox, now: now) }
            if let actions = announcement.answered(by: message, &machine, in: environment) { return run(actions) }
        }
        guard let id = outbox.transfer(of: message), let transfer = transfers[id] else { return }
        guard transfer.outbox.number == outbox.number else { return transfers[id]?.heardOfLater(message) ?? () }
        transfers[id]?.heard(message, now: now)
        if transfers.isAnsweredSlowly(id, now: now) { environment.reportSlowness() }
        step(id, now: now) { $0.received(message) }
    }

    mutating func worked(_ event: WorkEvent, on attempt: TransferID, now: NIODeadline) {
        let id = transfers.current(attempt)
        switch event {
        case .decided(let verdict): decided(id, verdict, now: now)
        case .download(.report(let report)): environment.reporter.report(report)
        case .prepared(let result): if cleanups.took(attempt) { prepared(id, result, now: now) }
        case .download(.wants(let notes)): wanted(id, notes)
        case .download(.ended(.success)): downloaded(id, now: now)
        case .download(.ended(.failure(let error))): downloadFailed(id, error, now: now)
        case .stored(let result): stored(id, result, now: now)
        case .upload, .rechecked, .rescanned, .shared, .dropped: break
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
        cleanups.cut()
        if requests == nil { refused.report(to: environment.reporter) }
        // After an interrupt, some are just being stored: they may keep their name, or leave nothing.
        for transfer in transfers.all { putAway(transfer, keeping: transfer.mayComeAgain) }
    }

    func stopped() async { await cleanups.wait() }

    private mutating func run(_ actions: [ReceiverMachine.Action]) {
        for action in actions {
            switch action {
            case .announce:
                guard let outbox else { continue }
                announcement.post(receiving: requests == nil, sharing: settings.alsoShares, on: outbox)
            case .answered: demands.append(.answered)
            case .reportReady where requests != nil: break
            case .reportReady: environment.reporter.report(.ready(environment.name))
            case .leave(let decision, let reason): demands.append(.leave(decision, reason: reason))
            case .reportTooManyOffers:
                let count = "\(Defaults.mostRings) offers wait for an answer"
                let line = "\(count), and more are left unanswered; answer these, then run receive again"
                environment.reporter.report(.warning(line))
            }
        }
    }

    // MARK: - An offer

    /// A content is offered: judge it, or ask.
    private mutating func rung(_ ring: ServerMessage.Ring, on outbox: Outbox, now: NIODeadline) {
        guard transfers[ring.transfer] == nil else {
            return transfers[ring.transfer]?.rungAgain(ring, on: outbox) ?? ()
        }
        guard transfers.count < Defaults.mostRings else { return run(machine.leftUnanswered()) }
        var offer: ReceivedOffer
        let rules: ReceiveRules
        do throws(ClientError) {
            offer = try environment.sealing.open(ring)
            rules = try settings.rules(for: ring.from)
        } catch {
            return refuse(ring, error, on: outbox)
        }
        guard isWanted(offer, ring) else { return refuse(ring, .sealing(.unasked), on: outbox) }
        offer.asked = ring.request.flatMap { requests?.names(of: $0) }
        let key = OfferMemory.Key(sender: ring.key, transfer: offer.transfer)
        let label = TransferLabel(of: offer)
        if let earlier = transfers.unanswered(key, label) {
            let before = transfers[earlier]?.before
            return transfers.replace(
                earlier, by: IncomingTransfer(ring, offer, label: label, rules: rules, on: outbox, before: before))
        }
        // Several sessions may answer one request.
        if requests != nil, settings.isOnce, transfers.count > 0 {
            return outbox.post(.decline(.init(id: outbox.nextID(), transfer: ring.transfer, code: .cancelled)))
        }
        let before = transfers.restarted(offer)
        // Others are left to other sessions, and to the next one.
        if let only = settings.only, only != offer.transfer, before == nil { return }
        guard machine.takes(isHere: transfers.finished(key, label) != nil) else { return }
        let isKnown = transfers.isKnown(key, label)
        let isAgain = isKnown || before != nil || rules.output.hasAccepted(offer)
        let verdict: ReceivePolicy.Verdict
        do throws(ClientError) {
            verdict = try rules.judge(size: label.size, isAgain: isAgain, now: environment.sealing.time())
        } catch {
            return refuse(ring, error, on: outbox)
        }
        (awaitsAnother, broken) = (false, nil)
        transfers.append(IncomingTransfer(ring, offer, label: label, rules: rules, on: outbox, before: before))
        environment.reporter.introduce(label, attempt: ring.transfer, isKnown: isKnown)
        if verdict == .ask { ask(ring.transfer, label, now: now) } else { decided(ring.transfer, verdict, now: now) }
    }

    /// What is offered is not one that a person could be asked about.
    private mutating func refuse(_ ring: ServerMessage.Ring, _ error: ClientError, on outbox: Outbox) {
        let code = error.failureCode(or: .cannotWrite)
        outbox.post(.decline(.init(id: outbox.nextID(), transfer: ring.transfer, code: code)))
        let reporter = settings.refusalReporter ?? environment.reporter
        if let report = refused.add(error, from: ring.from) { reporter.report(report) }
    }

    private mutating func ask(_ id: TransferID, _ label: TransferLabel, now: NIODeadline) {
        guard let ask, let transfer = transfers[id] else { return decided(id, .decline(.unattended), now: now) }
        let (offer, output) = (transfer.offer, transfer.rules.output)
        let question: OfferQuestion
        do throws(FileError) {
            // The user is not asked about content that has no room. Until it is accepted, the free space may shrink.
            try output.checkRoom(offer.summary)
            question = OfferQuestion(
                label: label, fingerprint: Fingerprint(of: offer.parties.sender.identity),
                contact: try environment.sealing.peers.contact(with: offer.parties.sender),
                destination: output.destination, replaces: output.replaces(offer.summary))
        } catch {
            return cannotStore(id, .file(error), now: now)
        }
        let queue = queue
        transfers[id]?.work = Task {
            let isAccepted = await ask(question)
            // A question that was cut has no answer: the same attempt may be asked about again.
            guard !Task.isCancelled else { return }
            queue.post(.work(id, .decided(isAccepted ? .accept : .decline(.person))))
        }
    }

    /// The person, or the policy, has answered.
    private mutating func decided(_ id: TransferID, _ verdict: ReceivePolicy.Verdict, now: NIODeadline) {
        switch verdict {
        case .accept: transfers[id]?.accepted()
        case .decline(let refusal):
            guard let peer = transfers[id]?.label.peer else { return }
            transfers[id]?.failed(.transfer(TransferFailure(refusing: refusal, from: peer)))
            step(id, now: now) { $0.decided(.decline(refusal.code), now: now) }
        case .ask: break
        }
    }

    /// Makes places for those whose turn it is.
    mutating func advance(on outbox: Outbox?, now: NIODeadline) {
        let most = settings.parallelDownloads
        var running = transfers.running
        for id in transfers.ids {
            // A node that is being left, and a session that is over, take nothing more.
            guard outbox != nil, machine.ending == nil, running.all < most.all else { return }
            guard let transfer = transfers[id], transfer.isQueued, transfer.isSmall || running.large < most.large,
                !transfers.isBusy(transfer), !cleanups.isPuttingAway(transfer.key)
            else { continue }
            let finished = transfers.finished(transfer.key, transfer.label)
            guard machine.takes(isHere: finished != nil) else { continue }
            transfers[id]?.dequeued(isHere: finished != nil)
            if finished == nil {
                running.all += 1
                if !transfer.isSmall { running.large += 1 }
            }
            prepare(id, transfer, finished)
        }
    }

    /// Finds a place for a content, and what of it is there already.
    private mutating func prepare(_ id: TransferID, _ transfer: IncomingTransfer, _ finished: FinishedTransfer?) {
        let (queue, environment, offer, rules) = (queue, environment, transfer.offer, transfer.rules)
        let fetched = settings.fetched
        let work = Task {
            do throws(ClientError) {
                let place = try await BlockingWork.files.run {
                    try PreparedSink.make(offer, finished, rules, fetched: fetched, environment)
                }
                queue.post(.work(id, .prepared(.success(place))))
                return Optional(place)
            } catch {
                queue.post(.work(id, .prepared(.failure(error))))
                return nil
            }
        }
        cleanups.looks(id, work)
        transfers[id]?.work = Task { _ = await work.value }
    }

    private mutating func prepared(
        _ id: TransferID, _ result: Result<PreparedSink, ClientError>, now: NIODeadline
    ) {
        guard let transfer = transfers[id] else { return }
        do throws(ClientError) {
            let place = try result.get()
            let (payload, keys) = try environment.sealing.accept(place.acceptance, of: transfer.offer)
            transfers[id]?.prepared(place.sink, limit: place.limit, keys: keys)
            let sender = transfer.offer.parties.sender
            if place.isFirstContact {
                environment.reporter.report(.firstContact(sender.name, Fingerprint(of: sender.identity)))
            }
            step(id, now: now) { $0.decided(.accept(payload), now: now) }
        } catch {
            cannotStore(id, error, now: now)
        }
    }

    private mutating func cannotStore(_ id: TransferID, _ error: ClientError, now: NIODeadline) {
        transfers[id]?.failed(error)
        step(id, now: now) { $0.decided(.decline(error.failureCode(or: .cannotWrite)), now: now) }
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
            case .drainStream: transfers[id]?.drains()
            case .report(let outcome): finish(id, outcome, now: now)
            }
        }
    }

    private mutating func startDownload(_ id: TransferID, now: NIODeadline) {
        guard let transfer = transfers[id], let request = transfer.download(in: environment) else { return }
        if !transfer.isHere { transfers.forget(transfer) }
        let queue = queue
        let work = environment.streams.download(request) { event in queue.post(.work(id, .download(event))) }
        transfers[id]?.work = work
    }

    /// The manifest is there, and not everything of it is wanted.
    private mutating func wanted(_ id: TransferID, _ notes: [WantedNote]) {
        guard let outbox = transfers[id]?.outbox else { return }
        for note in notes {
            guard let payload = transfers[id]?.sealed(note) else { continue }
            outbox.post(.note(.init(id: outbox.nextID(), transfer: id, payload: payload)))
        }
    }

    /// Everything is there and verified: store it.
    private mutating func downloaded(_ id: TransferID, now: NIODeadline) {
        guard let transfer = transfers[id], let sink = transfer.sink else { return }
        step(id, now: now) { $0.downloadFinished() }
        guard transfers[id] != nil else { return }
        if !transfer.isHere { environment.reporter.report(.verifying(transfer.label.transfer)) }
        let queue = queue
        transfers[id]?.work = Task { queue.post(.work(id, .stored(await Downloader.finish(sink)))) }
    }

    /// The download ended badly: the stream broke, or what came cannot be kept.
    private mutating func downloadFailed(_ id: TransferID, _ error: ClientError, now: NIODeadline) {
        transfers[id]?.failed(error)
        step(id, now: now) { machine in
            guard let stream = error.stream else { return machine.storeFailed(error.failureCode(or: .cannotWrite)) }
            return machine.downloadFailed(stream.failure(as: .download), now: now)
        }
    }

    /// It has its final name, or cannot have it: tell the sender.
    private mutating func stored(_ id: TransferID, _ result: Result<StoredTransfer, ClientError>, now: NIODeadline) {
        switch result {
        case .success(let stored):
            transfers[id]?.stored(stored)
            guard let payload = transfers[id]?.confirmation else { return }
            step(id, now: now) { $0.stored(payload, now: now) }
        case .failure(let error):
            transfers[id]?.failed(error)
            step(id, now: now) { $0.storeFailed(error.failureCode(or: .cannotWrite)) }
        }
    }

    // MARK: - The end of a transfer

    private mutating func finish(_ id: TransferID, _ outcome: ReceiveMachine.Outcome, now: NIODeadline) {
        guard let transfer = transfers.remove(id) else { return }
        transfer.outbox.forget(id)
        let decision = RetryDecision(outcome, stream: transfer.cause?.stream, lost: transfer.lost)
        finish(transfer, outcome, decision, now: now)
        // What was rung by a later connection meanwhile is answered there.
        guard let later = transfer.later, decision.isPassing, machine.ending == nil else { return }
        rung(later.ring, on: later.outbox, now: now)
    }

    /// It is over: tell the person, tidy up, and leave if that was all.
    private mutating func finish(
        _ transfer: IncomingTransfer, _ outcome: ReceiveMachine.Outcome, _ decision: RetryDecision, now: NIODeadline
    ) {
        if case .unanswered = outcome { leave(.elsewhere, "the relay does not answer", transfer) }
        if transfer.isHere {
            cleanups.giveUpPlace(of: transfer)
            return confirmed(transfer, outcome)
        }
        if case .received(let isConfirmed) = outcome { return received(transfer, isConfirmed: isConfirmed, now: now) }
        let error = ClientError(receiving: outcome, cause: transfer.cause, from: transfer.label.peer)
        let isKept = transfer.mayComeAgain && (decision.isPassing || IncomingTransfer.keeps(outcome))
        putAway(transfer, keeping: isKept)
        if transfer.isRestarted(outcome), machine.ending == nil, restarts(transfer, error) { return }
        if transfer.isTakenElsewhere { return environment.reporter.report(.withdrawn(transfer.label.transfer)) }
        guard decision.isPassing, machine.ending == nil, rememberAcceptance(transfer, error) else {
            failed(transfer, error)
            guard isKept, transfer.sink?.hasContent ?? false else { return }
            environment.reporter.report(.kept(transfer.label, requests == nil ? .received : .fetched))
            return
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
        let wasAccepted = transfer.sink != nil || transfers.wasAccepted(transfer)
        if wasAccepted || transfer.cause?.file != nil { failure = failure ?? error }
        transfers.forget(transfer)
        machine.failed(error, isTheOne: wasAccepted || transfer.cause?.file != nil, isSpoilt: transfer.isSpoilt)
    }

    /// A transfer broke for a reason that may pass: remembers what was accepted. False when it is over all the same.
    private mutating func rememberAcceptance(_ transfer: IncomingTransfer, _ error: ClientError) -> Bool {
        let label = transfer.label
        guard transfer.isRunning else {
            // It is offered again, or it is not; what was decided about it stays so.
            if transfers.recalled(transfer) == nil { environment.reporter.report(.withdrawn(label.transfer)) }
            return true
        }
        guard transfer.mayComeAgain else { return false }
        broken = error
        let problem = IncomingTransfer.problem(error)
        // One line for each break, however many tries come to nothing before bytes flow again.
        let isNews = transfer.later == nil && transfers.recalled(transfer)?.problem != problem
        forgotten(transfers.rememberAcceptance(transfer, problem))
        if isNews { environment.reporter.report(.interrupted(label.transfer, message: transfer.news(of: error))) }
        return true
    }

    /// What is sent was changed meanwhile, and its sender begins again, as another transfer. False when it was never
    /// accepted.
    private mutating func restarts(_ transfer: IncomingTransfer, _ error: ClientError) -> Bool {
        guard transfer.isRunning || transfers.wasAccepted(transfer), !transfer.isSpoilt else { return false }
        forgotten(transfers.rememberAcceptance(transfer, IncomingTransfer.problem(error)))
        awaitsAnother = true
        let what = TransferFailure(.sourceChanged, side: .receiver, peer: transfer.label.peer).what
        let message = "\(what); it comes again from the beginning"
        environment.reporter.report(.restarted(transfer.label.transfer, as: nil, message: message))
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
        cleanups.confirmed(transfer)
        machine.confirmed()
    }

    private mutating func received(_ transfer: IncomingTransfer, isConfirmed: Bool, now: NIODeadline) {
        guard let stored = transfer.stored, let sink = transfer.sink else { return }
        let (id, peer, reporter) = (transfer.label.transfer, transfer.label.peer, environment.reporter)
        received = transfer.offer.transfer
        let finished = FinishedTransfer(delivered: stored.summary, files: max(sink.position.file, stored.files))
        forgotten(transfers.memory.finished(transfer.key, finished))
        reporter.report(stored, of: id)
        if !isConfirmed { reporter.report(.warning("\(peer) may not have heard that it arrived")) }
        cleanups.stored(transfer, sink, isConfirmed: isConfirmed)
        // The sender comes back to hear of it, unless it was asked for.
        machine.received(isAwaited: !isConfirmed && !transfer.isEndedByPeer && requests == nil, now: now)
    }

    /// Stops what runs for it, and puts away what came: after a loss, with what is still on its way.
    private mutating func putAway(_ transfer: IncomingTransfer, keeping isKept: Bool) {
        if !transfer.isDraining || !isKept || machine.ending != nil { transfer.work?.cancel() }
        cleanups.putAway(transfer, keeping: isKept)
    }
}
