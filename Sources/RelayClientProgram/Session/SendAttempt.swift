// SPDX-License-Identifier: Apache-2.0

import NIOCore
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
    /// Whether an earlier try has sent everything: then the receiver may need no byte of this one.
    private let isKnown: Bool
    private var machine: SendMachine
    private var reported: SendMachine.Outcome?
    private var upload: (any ContentUpload)?
    private var rungAt: NIODeadline?
    /// How far the receiver says it is.
    private var receivedBytes: UInt64 = 0

    /// Makes the offer; nil when it is too long for a message, which only a monstrous name can make it.
    ///
    /// - Parameters:
    ///   - waits: whether it may wait for a receiver who is not there.
    ///   - tell: told what becomes of the upload, to be passed to ``uploadChanged(_:now:)``.
    init?(
        _ job: SendJob, as transfer: TransferID, waits: Bool, isKnown: Bool, on outbox: Outbox,
        environment: SessionEnvironment, now: NIODeadline, tell: @escaping @Sendable (UploadEvent) -> Void
    ) {
        let id = outbox.nextID(about: transfer)
        guard let offer = Self.offer(job, as: transfer, waits: waits, id: id) else { return nil }
        self.job = job
        self.transfer = transfer
        self.isKnown = isKnown
        self.outbox = outbox
        self.environment = environment
        self.tell = tell
        offeredAt = now
        offerID = offer.id
        machine = SendMachine(offer: offer, cancelID: outbox.nextID())
        run(machine.begin(now: now))
    }

    /// The offer of `job`; nil when it is too long for a message.
    static func offer(
        _ job: SendJob, as transfer: TransferID, waits: Bool, id: RequestID
    ) -> ClientMessage.Offer? {
        let payload = OfferPayload(name: job.source.name, size: job.source.size, attempt: job.identity)
        return PayloadCoding.encode(payload).map {
            .init(id: id, transfer: transfer, to: job.peer, wait: waits, payload: $0)
        }
    }

    /// The connection that it was made on.
    var connection: UInt64 { outbox.number }

    /// No answer to it is expected any more.
    func forget() { outbox.forget(transfer) }

    /// Whether it has ended, though something may still read the content.
    var isReported: Bool { reported != nil }

    /// How it ended, once it has, and nothing reads the content any more.
    var outcome: SendMachine.Outcome? { upload == nil ? reported : nil }

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
            return run(machine.received(message, now: now), start)
        case .delivered(let delivered) where delivered.transfer == transfer && isKnown && upload == nil:
            // The receiver has it from an earlier try, and needs no byte of this one.
            result.isTaken = true
            if reported == nil { reported = .delivered(delivered.payload) }
            return
        case .progress(let progress) where progress.transfer == transfer && progress.bytes > receivedBytes:
            receivedBytes = progress.bytes
            upload?.receiverProgressed()
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
            if end == .finished, reported == nil { environment.reporter.report(.verifying(job.transfer)) }
            run(machine.uploadFinished(end, now: now))
        case .stopped(let summary):
            result.summary = summary
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
        guard PayloadCoding.accept(payload) != nil else {
            outbox.post(.cancel(.init(id: outbox.nextID(), transfer: transfer, code: .protocolError)))
            return run(machine.failed(.protocolError, by: .peer))
        }
        upload = environment.streams.upload(job, start, tell: tell)
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

    private func show(_ state: ServerMessage.Offered.State) {
        switch state {
        case .waiting: environment.reporter.report(.waiting(job.label))
        case .ringing: environment.reporter.report(.ringing(job.label))
        case .accepted: environment.reporter.report(.detail("\(job.peer) accepted"))
        }
    }
}

/// One content for one receiver, however many tries that takes.
struct SendJob: Sendable {
    let peer: PeerName
    /// Where the content comes from; checked before the receiver is asked, so that a mistyped path fails at once.
    let source: any ContentSource
    /// By what the receiver knows a later try for the same content.
    let identity: OfferIdentity
    /// The id of the first try's transfer. What is shown goes under this one, whatever the later ones are.
    let transfer: TransferID

    init(peer: PeerName, source: any ContentSource) {
        self.peer = peer
        self.source = source
        identity = .random()
        transfer = .random()
    }

    /// For showing it.
    var label: TransferLabel {
        TransferLabel(transfer: transfer, direction: .send, peer: peer, name: source.name, size: source.size)
    }
}
