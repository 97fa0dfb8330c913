// SPDX-License-Identifier: Apache-2.0

import NIOCore
import PrivateFiles
import Sealing
import TransferClient
import WSProtocol

/// What is asked of whom, and where it goes.
struct FetchSettings: Sendable {
    let sharer: PeerName
    let query: PullQuery
    var output: ReceiveOutput
    /// How long to go on while nothing moves.
    var patience: TimeAmount
    /// Whether a sharer who is not there is waited for.
    var waits = true
    var printsChecksums = false

    /// The paths to be fetched, as a later run of this program names them.
    fileprivate var paths: [String]? {
        if case .fetch(let paths, resuming: _) = query { paths.map(\.description) } else { nil }
    }

    fileprivate var receiving: ReceiveSettings {
        var settings = ReceiveSettings(
            policy: ReceivePolicy(from: [sharer], isTrusting: true), output: output, isOnce: paths != nil)
        settings.printsChecksums = printsChecksums
        settings.fetched = paths
        return settings
    }
}

/// Asks one who shares, again and again until there is an answer, and takes with a ``Receiver`` what answers, and
/// nothing else. Ends with what was asked for.
struct Fetcher: SessionPart {
    private let environment: SessionEnvironment
    private let settings: FetchSettings
    private var machine: FetchMachine
    private var receiver: Receiver
    private var requests: OpenRequests
    private var lookups = PeerLookups()
    /// The request that the relay has not taken yet.
    private var asked: (id: RequestID, deadline: NIODeadline)?
    private var outbox: Outbox?
    private var demands: [ConnectionDemand] = []
    /// When the first listing had come, whole or not.
    private var listedAt: NIODeadline?
    /// What sharers say to the last request who do not answer it, besides that they do not share it.
    private var others: Set<FailureCode> = []
    /// How many requests went out since anything came.
    private var unanswered = 0
    /// What was asked to be gone on with.
    private var named: CarriedTransfer?
    private var hasAsked = false
    private var hasToldOfSilence = false
    private var hasToldOfCrowd = false
    private var generator = SystemRandomNumberGenerator()
    private var over: SessionEnding?

    init(_ settings: FetchSettings, environment: SessionEnvironment, queue: EventQueue<SessionEvent>) {
        self.settings = settings
        self.environment = environment
        requests = OpenRequests(to: settings.sharer)
        machine = FetchMachine(patience: settings.patience, waits: settings.waits, now: environment.clock.now())
        var inner = environment
        if settings.paths == nil { inner.reporter = Reporter(mode: .silent) }
        var receiving = settings.receiving
        receiving.refusalReporter = environment.reporter
        receiver = Receiver(receiving, ask: nil, requests: requests, environment: inner, queue: queue)
    }

    // MARK: - As a part of a session

    var ending: SessionEnding? { over ?? receiver.ending }

    var isRung: Bool { true }
    var needsConnection: Bool { true }
    func isUnderWay(on connection: UInt64) -> Bool { receiver.isUnderWay(on: connection) }
    func isBound(to connection: UInt64) -> Bool { receiver.isBound(to: connection) }

    var deadline: NIODeadline? {
        // While another one comes, its end is what is waited for.
        let others = receiver.count == 0 ? listedAt.map { $0 + TransferDefaults.otherListings } : nil
        return [machine.deadline, receiver.deadline, lookups.deadline, asked?.deadline, others].compactMap { $0 }.min()
    }

    mutating func takeDemands() -> [ConnectionDemand] {
        defer { demands = [] }
        return demands + receiver.takeDemands()
    }

    func owns(_ transfer: TransferID) -> Bool { receiver.owns(transfer) }

    mutating func connected(_ outbox: Outbox, now: NIODeadline) {
        (self.outbox, lookups, asked) = (outbox, PeerLookups(), nil)
        receiver.connected(outbox, now: now)
        machine.connected(now: now)
    }

    mutating func moved(to outbox: Outbox, now: NIODeadline) {
        // What was asked on the connection before is void there, but what has come of it is not.
        requests.removeAll()
        receiver.requests = requests
        (self.outbox, lookups, asked) = (outbox, PeerLookups(), nil)
        receiver.moved(to: outbox, now: now)
        guard receiver.count == 0 else { return }
        machine.disconnected()
        machine.connected(now: now)
    }

    mutating func disconnected(_ error: ConnectionError?, former connection: UInt64, now: NIODeadline) {
        receiver.disconnected(error, former: connection, now: now)
    }

    mutating func disconnected(_ error: ConnectionError?, now: NIODeadline) {
        (outbox, asked, unanswered) = (nil, nil, 0)
        requests.removeAll()
        receiver.requests = requests
        receiver.disconnected(error, now: now)
        machine.disconnected()
    }

    mutating func unreachable(_ error: ConnectionError, now: NIODeadline) { receiver.unreachable(error, now: now) }

    mutating func received(_ message: ServerMessage, on outbox: Outbox, now: NIODeadline) {
        switch message {
        case _ where outbox.number != self.outbox?.number: receiver.received(message, on: outbox, now: now)
        case .peer(let peer): _ = lookups.answered(peer)
        case .ok(let answer) where answer.id == asked?.id:
            asked = nil
            machine.passedOn()
            demands.append(.answered)
        case .error(let refusal) where refusal.id == asked?.id:
            asked = nil
            postponed(refusal.code, now: now)
        case .error(let refusal) where lookups.refused(refusal.id) != nil: postponed(refusal.code, now: now)
        case .refused(let refused) where requests.contains(refused.request):
            if refused.code == .tooManyRequests { tellOfCrowd() }
            if machine.refused(refused.code, now: now) {
                lookups.forget(settings.sharer)
            } else if refused.code != .notShared {
                others.insert(refused.code)
            }
        case .refused: break
        case .ring:
            let before = receiver.count
            receiver.received(message, on: outbox, now: now)
            if receiver.count > before {
                machine.coming(now: now)
                unanswered = 0
            }
        default: receiver.received(message, on: outbox, now: now)
        }
    }

    mutating func worked(_ event: WorkEvent, on transfer: TransferID, now: NIODeadline) {
        if case .download(.report(let report)) = event {
            switch report {
            case .started, .progress: machine.moved(now: now)
            default: break
            }
        }
        receiver.worked(event, on: transfer, now: now)
    }

    mutating func cleanedUp(_ number: UInt64) { receiver.cleanedUp(number) }

    mutating func deadlinePassed(now: NIODeadline) {
        receiver.deadlinePassed(now: now)
        machine.deadlinePassed(now: now)
        let isUnheard = asked.map { $0.deadline <= now } ?? false
        if isUnheard || !lookups.deadlinePassed(now: now).isEmpty {
            asked = nil
            machine.postponed(.unavailable, now: now)
            demands.append(.leave(.elsewhere, reason: "the relay does not answer"))
        }
    }

    mutating func interrupted(now: NIODeadline) { receiver.interrupted(now: now) }

    mutating func advance(on outbox: Outbox?, now: NIODeadline) {
        receiver.advance(on: outbox, now: now)
        if case .coming = machine.state, receiver.count == 0, receiver.ending == nil { ended(now: now) }
        if let listedAt, receiver.count == 0, over == nil, listedAt + TransferDefaults.otherListings <= now { listed() }
        if let failure = machine.failure, over == nil { fail(failure) }
        if let outbox, ending == nil, machine.isDue(now: now) { ask(on: outbox, now: now) }
    }

    mutating func stop() {
        receiver.stop()
        receiver.refused.report(to: environment.reporter)
    }

    func stopped() async {
        await receiver.stopped()
        guard let stale, case .folder(let parts) = settings.output, receiver.ending == .status(.done) else { return }
        let records = environment.records
        try? await BlockingWork.files.run {
            // What was asked for has changed since, and came as another transfer.
            _ = parts.forget(stale)
            try records.forget(stale, .receive)
        }
    }

    // MARK: - Asking

    private mutating func ask(on outbox: Outbox, now: NIODeadline) {
        // What has come of it has to be written down first, so that it goes on from there.
        guard asked == nil, !receiver.isPuttingAway else { return }
        guard let peer = lookups.peer(settings.sharer) else {
            guard lookups.isUnasked(settings.sharer) else { return }
            let id = outbox.nextID()
            lookups.asked(settings.sharer, as: id, now: now)
            return outbox.post(.lookup(.init(id: id, name: settings.sharer)))
        }
        // Until the next time, its key may change.
        lookups.forget(settings.sharer)
        do throws(ClientError) {
            let request = PullRequest.random()
            let query = query(to: Party(name: peer.name, identity: peer.key))
            if case .fetch(_, let broken?) = query { named = broken.transfer }
            let (payload, sharer) = try environment.sealing.seal(query, as: request, to: peer)
            if try environment.sealing.meet(sharer) {
                environment.reporter.report(.firstContact(sharer.name, Fingerprint(of: sharer.identity)))
            }
            requests.open(request, query, to: sharer.identity)
            others = []
            receiver.requests = requests
            let id = outbox.nextID()
            asked = (id, now + TransferDefaults.answerTimeout)
            outbox.post(.request(.init(id: id, request: request, to: settings.sharer, payload: payload)))
            machine.asked(now: now)
            tell(query)
            unanswered += 1
        } catch {
            over = .failed(error)
        }
    }

    /// A transfer that was to be gone on with, where that was not the one that came.
    private var stale: CarriedTransfer? { named == receiver.received ? nil : named }

    private mutating func tell(_ query: PullQuery) {
        guard hasAsked else {
            hasAsked = true
            return environment.reporter.report(.asking(settings.sharer, query))
        }
        // What has broken was an answer.
        guard !hasToldOfSilence, settings.waits, unanswered > 0 else { return }
        hasToldOfSilence = true
        environment.reporter.report(
            .notice("\(settings.sharer) has not answered: asking again now and then until \(settings.sharer) shares it")
        )
    }

    /// The one who was asked is there, and does not take this request now: that is no silence.
    private mutating func tellOfCrowd() {
        hasToldOfSilence = true
        guard !hasToldOfCrowd else { return }
        hasToldOfCrowd = true
        environment.reporter.report(
            .notice("\(settings.sharer) has as many requests to answer as it takes at once: asking again now and then"))
    }

    /// What to ask for: to go on with what broke, where there is something of it.
    private func query(to sharer: Party) -> PullQuery {
        guard case .fetch(let paths, resuming: _) = settings.query, case .folder(let parts) = settings.output,
            let records = try? environment.records.fetching(
                from: sharer, paths: paths.map(\.description), into: parts.path, now: environment.sealing.time())
        else { return settings.query }
        for record in records {
            guard let manifest = parts.manifest(of: record.transfer, from: sharer.identity) else { continue }
            return .fetch(paths, resuming: BrokenTransfer(transfer: record.transfer, manifest: manifest))
        }
        return settings.query
    }

    /// The relay did not pass a question on.
    private mutating func postponed(_ code: FailureCode, now: NIODeadline) {
        let decision = RetryDecision(code)
        machine.postponed(code, now: now)
        if decision.isPassing, !decision.keepsConnection {
            demands.append(.leave(decision, reason: code.message))
        }
    }

    /// What was coming is here, or broke.
    private mutating func ended(now: NIODeadline) {
        if case .listing(let collection) = settings.output, collection.count > 0 || receiver.failure != nil {
            listedAt = listedAt ?? now
        } else if receiver.awaitsAnother {
            machine.restarted(now: now)
        } else {
            machine.broke(now: now, using: &generator)
        }
    }

    /// No other listing is waited for: says why one of them, or what another sharer has, is not among the entries.
    private mutating func listed() {
        let sharer = settings.sharer
        if let error = receiver.failure { return fail(error.description, error.code, error.status) }
        let lack = "the list lacks what \(sharer) shares on another computer"
        if let error = receiver.broken { environment.reporter.report(.warning("\(lack): \(error.description)")) }
        for code in others.sorted(by: { $0.rawValue < $1.rawValue }) {
            let problem = TransferFailure(code, side: .receiver, peer: sharer)
            environment.reporter.report(.warning("\(lack): \(problem.description)"))
        }
        over = .status(.done)
    }

    /// It has failed, for a reason that is not that of one transfer.
    private mutating func fail(_ message: String, _ code: String, _ status: ExitStatus) {
        let line = "\(TransferText.asked(settings.query)) from \(settings.sharer): \(message)"
        environment.reporter.report(.failed(nil, code: code, message: line))
        over = .status(status)
    }

    private mutating func fail(_ failure: FetchMachine.Failure) {
        let sharer = settings.sharer
        // What came before says more than that nothing came since.
        let before = receiver.broken.map { "\($0.what), and since then " } ?? ""
        let problem: TransferFailure =
            switch failure {
            case .refused(let code): TransferFailure(code, side: .receiver, peer: sharer)
            case .unanswered:
                TransferFailure(
                    code: .peerOffline, "\(before)\(sharer) shares nothing with you, or is not there",
                    "try again later, or leave out --no-wait", status: .unreachable)
            case .gaveUp:
                TransferFailure(
                    code: .timedOut, "\(before)nothing came of \(sharer) in the time of --timeout",
                    "try again when \(sharer) shares it, or with a longer --timeout", status: .gaveUp)
            case .hindered(let code):
                TransferFailure(
                    code: code,
                    "\(TransferFailure(code, side: .receiver, peer: sharer).what), up to the end of --timeout",
                    "try again later, or with a longer --timeout", status: .gaveUp)
            }
        fail(problem.description, problem.code.rawValue, problem.status)
    }
}
