// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// One transfer on one control connection, from the offer to its outcome: runs the actions of a ``SendMachine``. Its
/// owner tells it everything that happens, looks at ``outcome`` afterwards, and minds ``deadline``.
struct SendAttempt {
    let job: SendJob
    /// The transfer of this try: the relay, or the receiver, may still be busy with the one before.
    let transfer: TransferID
    /// When the offer was made.
    let offeredAt: NIODeadline
    private(set) var result = AttemptResult()
    /// How long the receiver took to accept, once it has.
    private(set) var answeredAfter: TimeAmount?
    private let outbox: Outbox
    private let environment: SessionEnvironment
    private let tell: @Sendable (UploadEvent) -> Void
    private let offerID: RequestID
    private let sealed: SentOffer
    /// The keys of this attempt, once the receiver has accepted.
    private var keys: AttemptKeys?
    /// What opens the receiver's notes.
    private var notes: NoteSealing?
    /// What they may say; nil where the receiver wants all files.
    private var wishes: WantedFilesReader?
    private var machine: SendMachine
    private var reported: SendMachine.Outcome?
    private var upload: (any ContentUpload)?
    /// How much the receiver has when it has everything; nil until everything was sent.
    private(set) var sent: DeliveredCounts?
    private var rungAt: NIODeadline?
    /// What the person was shown last of where the offer stands.
    private var shown: ServerMessage.Offered.State?
    /// How far the receiver says it is.
    private var receivedBytes: UInt64 = 0

    /// Makes the offer; nil when it is too long for a message, which no summary can make it.
    ///
    /// - Parameters:
    ///   - waits: whether it may wait for a receiver who is not there.
    ///   - former: the offer of the same on the connection before, which the person knows of.
    ///   - tell: told what becomes of the upload, to be passed to ``uploadChanged(_:now:)``.
    init?(
        _ job: SendJob, _ sealed: SentOffer, waits: Bool, after former: SendAttempt? = nil, on outbox: Outbox,
        environment: SessionEnvironment, now: NIODeadline, tell: @escaping @Sendable (UploadEvent) -> Void
    ) {
        let transfer = sealed.parties.attempt
        let id = outbox.nextID(about: transfer)
        guard let offer = Self.offer(job, sealed, waits: waits, id: id) else { return nil }
        self.job = job
        self.transfer = transfer
        self.sealed = sealed
        self.outbox = outbox
        self.environment = environment
        self.tell = tell
        offeredAt = now
        shown = former?.shown
        offerID = offer.id
        machine = SendMachine(offer: offer, cancelID: outbox.nextID())
        environment.reporter.report(.detail("attempt \(transfer) of transfer \(job.shownID)"))
        run(machine.begin(now: now))
    }

    /// The message that offers `job`; nil when it is too long for one.
    static func offer(_ job: SendJob, _ sealed: SentOffer, waits: Bool, id: RequestID) -> ClientMessage.Offer? {
        Payload(bytes: sealed.payload).map {
            .init(
                id: id, transfer: sealed.parties.attempt, to: job.peer, wait: waits, payload: $0, request: job.answers)
        }
    }

    /// Who it is sealed for.
    var receiver: Party { sealed.parties.receiver }

    /// The connection that it was made on.
    var connection: UInt64 { outbox.number }

    /// No answer to it is expected any more.
    func forget() { outbox.forget(transfer) }

    /// Whether something reads the content.
    var isUploading: Bool { upload != nil }

    /// Whether it has ended, though something may still read the content.
    var isReported: Bool { reported != nil }

    /// How it ended, once it has, and nothing reads the content any more.
    var outcome: SendMachine.Outcome? { upload == nil ? reported : nil }

    /// Takes the offer back, as the same is offered on another connection; no answer to it is expected any more.
    mutating func withdraw() {
        run(machine.withdrawn())
        forget()
    }

    /// Whether the receiver is attached, so that a lost connection would cost what has been sent.
    var isUnderWay: Bool { result.isAccepted && outcome == nil }

    /// When ``deadlinePassed(now:)`` has to be called; nil when nothing is waited for that this side bounds.
    var deadline: NIODeadline? { machine.deadline }

    // MARK: - Events

    /// The relay says something, about this transfer or another.
    mutating func received(_ message: ServerMessage, now: NIODeadline) {
        switch message {
        case .offered(let offered) where offered.transfer == transfer: noticed(offered.state, now: now)
        case .start(let start) where start.transfer == transfer && start.role == .upload:
            accepted(now: now)
            result.isAttached = true
            return run(machine.received(message, now: now), start)
        case .note(let note) where note.transfer == transfer: return noted(note.payload, now: now)
        case .progress(let progress) where progress.transfer == transfer && progress.bytes > receivedBytes:
            receivedBytes = progress.bytes
            upload?.receiverProgressed()
        case .error(let refusal) where refusal.id == offerID: result.said = refusal.shownMessage
        default: break
        }
        run(machine.received(message, now: now))
    }

    /// Something has become of the upload.
    mutating func uploadChanged(_ event: UploadEvent, now: NIODeadline) {
        switch event {
        case .streaming: result.hasStarted = true
        case .report(let report): environment.reporter.report(report)
        case .ended(let end, let error):
            result.cause = error
            if end == .finished, reported == nil { environment.reporter.report(.verifying(job.shownID)) }
            run(machine.uploadFinished(end, now: now))
        case .stopped(let sent):
            self.sent = sent
            upload = nil
        }
    }

    /// The control connection is gone, or is being left.
    mutating func connectionLost(_ error: ConnectionError?) {
        result.lost = error
        run(machine.connectionLost())
    }

    /// The time is `now`. Harmless when nothing is due.
    mutating func deadlinePassed(now: NIODeadline) { run(machine.deadlinePassed(now: now)) }

    /// The time that the person gave is over.
    mutating func timedOut() { run(machine.timedOut()) }

    /// The one who asked for it has asked again: it has broken there.
    mutating func superseded() { run(machine.cancelledByUser()) }

    /// The person wants no more of it.
    mutating func interrupted() { run(machine.cancelledByUser()) }

    // MARK: - Actions

    private mutating func run(_ actions: [SendMachine.Action], _ start: ServerMessage.Start? = nil) {
        for action in actions {
            switch action {
            case .send(let message): outbox.post(message)
            case .show(let state): show(state)
            case .startUpload(_, _, let payload): if let start { begin(start, payload) }
            case .cutStream: upload?.cut()
            case .report(let outcome):
                // What was waited for besides the upload has come.
                upload?.cut()
                if reported == nil { reported = outcome }
            }
        }
    }

    private mutating func begin(_ start: ServerMessage.Start, _ payload: Payload?) {
        do throws(SealingError) {
            guard let payload else { throw .malformed(.accept) }
            let (acceptance, keys) = try AcceptSealing.open(Array(payload.bytes), to: sealed)
            guard job.tree.covers(acceptance.position) else { throw .position }
            self.keys = keys
            notes = NoteSealing(of: .receiver, with: keys)
            wishes = acceptance.wantsByNote ? WantedFilesReader(files: job.tree.catalogue.manifest.files) : nil
            let request = UploadRequest(
                job: job, start: start, acceptance: acceptance, keys: keys,
                signingKey: environment.sealing.signingKey
            )
            upload = environment.streams.upload(request, tell: tell)
        } catch {
            refuse(error)
        }
    }

    /// The receiver says which files it wants.
    private mutating func noted(_ payload: Payload, now: NIODeadline) {
        guard reported == nil, keys == nil || upload != nil else { return }
        do throws(SealingError) {
            // Before the receiver's stream stands there is nothing that it could be about.
            guard var notes else { throw .doesNotOpen(.note) }
            let note = try WantedNote(notes.open(Array(payload.bytes)))
            self.notes = notes
            guard try wishes?.take(note) != nil else { throw .malformed(.note) }
            upload?.receiverWants(note)
        } catch {
            upload?.cut()
            refuse(error)
        }
    }

    /// What the receiver has sealed is not accepted.
    private mutating func refuse(_ error: SealingError) {
        let code = error.failureCode ?? .protocolError
        result.cause = .sealing(error)
        outbox.post(.cancel(.init(id: outbox.nextID(), transfer: transfer, code: code)))
        run(machine.failed(code, by: .peer))
    }

    /// What the receiver says that it has stored; nil where it cannot be the receiver who says it.
    func opened(_ payload: Payload) -> DeliveredSummary? {
        keys.flatMap { try? DeliveredSealing.open(Array(payload.bytes), with: $0) }
    }

    private mutating func noticed(_ state: ServerMessage.Offered.State, now: NIODeadline) {
        result.isTaken = true
        switch state {
        case .waiting: break
        case .ringing:
            result.hasRung = true
            rungAt = rungAt ?? now
        case .accepted: accepted(now: now)
        }
    }

    private mutating func accepted(now: NIODeadline) {
        result.isTaken = true
        guard !result.isAccepted else { return }
        result.isAccepted = true
        answeredAfter = now - (rungAt ?? offeredAt)
    }

    private mutating func show(_ state: ServerMessage.Offered.State) {
        guard state != shown else { return }
        shown = state
        switch state {
        case .waiting: environment.reporter.report(.waiting(job.label))
        case .ringing: environment.reporter.report(.ringing(job.label))
        case .accepted: environment.reporter.report(.detail("\(job.peer) accepted"))
        }
    }
}

/// One transfer to one receiver, however many attempts that takes.
struct SendJob: Sendable {
    let peer: PeerName
    /// Where the content comes from; looked at before the receiver is asked, so that a mistyped path fails at once.
    let tree: SourceTree
    /// By what the receiver knows a later attempt to carry the same.
    let transfer: CarriedTransfer
    /// What the content was looked at with.
    let options: SourceOptions
    /// Whether the person wants the SHA-256 of each file.
    let printsChecksums: Bool
    /// Whether an earlier run of this program has begun it.
    let isGoingOn: Bool
    /// The request that it answers.
    var answers: PullRequest?

    init(
        peer: PeerName, tree: SourceTree, options: SourceOptions = .init(), printsChecksums: Bool = false,
        goingOnWith transfer: CarriedTransfer? = nil
    ) {
        self.printsChecksums = printsChecksums
        self.peer = peer
        self.tree = tree
        self.options = options
        self.transfer = transfer ?? .random()
        isGoingOn = transfer != nil
    }

    /// This job for the same content as it is now, as a transfer of its own.
    func anew() -> SendJob {
        var job = SendJob(peer: peer, tree: tree, options: options, printsChecksums: printsChecksums)
        job.answers = answers
        return job
    }

    /// This job, as the same transfer, for what was found in `tree`; nothing of it has been offered.
    func with(_ tree: SourceTree) -> SendJob { SendJob(self, tree) }

    private init(_ job: SendJob, _ tree: SourceTree) {
        (peer, options, transfer, isGoingOn) = (job.peer, job.options, job.transfer, job.isGoingOn)
        (self.tree, printsChecksums, answers) = (tree, job.printsChecksums, job.answers)
    }

    /// What a later run of this program has to know to go on with it.
    func record(of receiver: Party, now: UInt64) -> TransferRecord {
        .sending(
            SentRecord(
                transfer: transfer, receiver: receiver, paths: tree.paths, exclude: options.exclude,
                keepsMetadata: options.keepsMetadata, summary: tree.summary, manifest: tree.digest, state: tree.state,
                since: now
            ))
    }

    /// The SHA-256 of each file that was sent, where the person wants them.
    var checksums: [FileChecksum] { printsChecksums ? tree.checksums() : [] }

    /// The id that it is shown under, whatever those of its attempts are.
    var shownID: TransferID { transfer.shown }

    /// What is offered.
    var summary: OfferSummary {
        var summary = tree.summary
        summary.answers = answers
        return summary
    }

    /// The label that the transfer is shown with.
    var label: TransferLabel {
        TransferLabel(transfer: shownID, direction: .send, peer: peer, summary: tree.summary)
    }
}

extension CarriedTransfer {
    /// The id under which people and programs see a transfer, on both sides. Its first attempt has it on the wire, too.
    var shown: TransferID { TransferID(bytes: bytes) ?? .random() }
}
