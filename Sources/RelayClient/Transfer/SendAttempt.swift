// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import WSProtocol

/// One transfer on one control connection, from the offer to its outcome: the loop that feeds a ``SendMachine`` and
/// runs its actions.
struct SendAttempt {
    /// What can happen meanwhile.
    enum Event: Sendable {
        case message(ServerMessage)
        case connectionEnded(ConnectionError)
        /// The stream stands, and bytes may flow.
        case streaming(TransferID)
        case uploadEnded(TransferID, SendMachine.UploadResult, (any Error)?)
        case deadlinePassed
        /// Nobody has accepted this transfer in the time that the person gave.
        case waitedLongEnough(TransferID)
        case interrupted
    }

    /// How it ended.
    struct Result {
        var outcome: SendMachine.Outcome
        /// What was sent, once it is known.
        var summary: ContentSummary?
        /// Why the upload failed, in more detail than the outcome has.
        var cause: (any Error)?
        /// Why the control connection ended, if it did.
        var lost: ConnectionError?
        /// When the relay took the offer, if it did.
        var takenAt: NIODeadline?
        /// When bytes began to flow, if they did.
        var startedAt: NIODeadline?
        /// Whether the receiver was there, and was asked.
        var hasRung = false
        /// Whether the receiver accepted.
        var isAccepted = false
    }

    let job: SendJob
    let link: RelayLink
    let connection: ControlConnection
    /// The events of the connection and of this attempt.
    let queue: EventQueue<Event>
    /// When to stop waiting for somebody to accept; nil never does.
    let deadline: NIODeadline?
    /// What the content comes down to, if an earlier try has read all of it.
    let known: ContentSummary?
    /// Whether it is news that the relay takes the offer.
    let isReturn: Bool
    /// The transfer of this try: the relay, or a receiver, may still be busy with the one before.
    private let transfer: TransferID
    private var machine: SendMachine
    private var result = Result(outcome: .cancelled)
    /// How many seconds the relay's `start` gives its token.
    private var tokenExpires = 0
    /// What runs the upload; its value is what was sent, once that was everything.
    private var upload: Task<ContentSummary?, Never>?
    /// The stream of the upload, once it stands.
    private let stream = NIOLockedValueBox<UploadStream?>(nil)
    /// How far the receiver says it is.
    private var receivedBytes: UInt64 = 0
    private var timer: Scheduled<Void>?

    /// Nil when the offer is too long for a message, which only a monstrous name can make it. `waits` says whether it may
    /// wait for a receiver who is not there.
    init?(
        job: SendJob, link: RelayLink, connection: ControlConnection, queue: EventQueue<Event>, deadline: NIODeadline?,
        known: ContentSummary?, isFirst: Bool, isReturn: Bool, waits: Bool
    ) {
        let payload = OfferPayload(name: job.source.name, size: job.source.size, attempt: job.identity)
        guard let payload = PayloadCoding.encode(payload) else { return nil }
        self.job = job
        self.link = link
        self.connection = connection
        self.queue = queue
        self.deadline = deadline
        self.known = known
        self.isReturn = isReturn
        transfer = isFirst ? job.transfer : .random()
        machine = SendMachine(
            offer: .init(id: connection.nextID(), transfer: transfer, to: job.peer, wait: waits, payload: payload),
            cancelID: connection.nextID()
        )
    }

    /// Runs the transfer to its end.
    mutating func run() async -> Result {
        let waiting = deadline.map { post(.waitedLongEnough(transfer), at: $0) }
        defer {
            waiting?.cancel()
            timer?.cancel()
        }
        let beginning = machine.begin(now: .now())
        rearm()
        if perform(beginning) { return await finished() }
        for await event in queue.events {
            let actions = actions(for: event)
            rearm()
            if perform(actions) { return await finished() }
        }
        return await finished()
    }

    private mutating func actions(for event: Event) -> [SendMachine.Action] {
        switch event {
        case .message(.delivered(let delivered)) where delivered.transfer == transfer && known != nil && upload == nil:
            // The receiver has it from an earlier try, and needs no byte of this one.
            taken()
            return [.report(.delivered(delivered.payload))]
        case .message(.progress(let progress)):
            if progress.transfer == transfer, progress.bytes > receivedBytes {
                receivedBytes = progress.bytes
                stream.withLockedValue { $0 }?.receiverProgressed()
            }
            return []
        case .message(let message):
            if case .start(let start) = message, start.transfer == transfer { tokenExpires = start.expires }
            return machine.received(message, now: .now())
        case .connectionEnded(let error):
            result.lost = error
            return machine.connectionLost()
        case .streaming(transfer):
            result.startedAt = .now()
            return []
        case .uploadEnded(transfer, let end, let error):
            result.cause = error
            if end == .finished { link.reporter.report(.verifying(job.transfer)) }
            return machine.uploadFinished(end, now: .now())
        case .deadlinePassed:
            return machine.deadlinePassed(now: .now())
        case .waitedLongEnough(transfer):
            return result.startedAt == nil ? machine.timedOut() : []
        case .interrupted:
            return machine.cancelledByUser()
        case .streaming, .uploadEnded, .waitedLongEnough:
            return []  // Left over from the transfer before this one.
        }
    }

    /// Runs `actions`; true when the transfer is over.
    private mutating func perform(_ actions: [SendMachine.Action]) -> Bool {
        for action in actions {
            switch action {
            case .send(let message): connection.post(message)
            case .show(let state): show(state)
            case .startUpload(let token, let url, let payload):
                if startUpload(token: token, url: url, payload: payload) { return true }
            case .cutStream: upload?.cancel()
            case .report(let outcome):
                result.outcome = outcome
                return true
            }
        }
        return false
    }

    private mutating func show(_ state: ServerMessage.Offered.State) {
        taken()
        switch state {
        case .waiting: link.reporter.report(.waiting(job.label))
        case .ringing:
            result.hasRung = true
            link.reporter.report(.ringing(job.label))
        case .accepted:
            result.isAccepted = true
            link.reporter.report(.detail("\(job.peer) accepted"))
        }
    }

    /// The relay does what it was asked.
    private mutating func taken() {
        guard result.takenAt == nil else { return }
        result.takenAt = .now()
        if isReturn { link.reporter.report(.reconnected) }
    }

    /// Starts the upload; true when the other client's `accept` makes no sense and the transfer is over.
    private mutating func startUpload(token: Token, url: String, payload: Payload?) -> Bool {
        guard PayloadCoding.accept(payload) != nil else {
            connection.post(.cancel(.init(id: connection.nextID(), transfer: transfer, code: .protocolError)))
            return perform(machine.failed(.protocolError, by: .peer))
        }
        taken()
        result.isAccepted = true
        let (job, link, queue, transfer, current) = (job, link, queue, transfer, stream)
        let opening = StreamOpening(.upload, url: url, expires: tokenExpires, of: job.transfer, link: link)
        upload = Task {
            do {
                let length = Uploader.bodyLength(of: job.source.size)
                let stream = try await opening.run { target in
                    try await UploadStream.open(target, token: token, length: length, dialer: link.dialer)
                } abort: { stream in
                    stream.abort()
                }
                current.withLockedValue { $0 = stream }
                link.reporter.report(.started(job.label))
                queue.post(.streaming(transfer))
                return await Self.upload(job, transfer, stream: stream, link: link, queue: queue)
            } catch {
                let error = (error as? StreamError) ?? .cut
                queue.post(.uploadEnded(transfer, .broken(error.failure(as: .upload)), error))
                return nil
            }
        }
        return false
    }

    /// Returns what was sent, when everything was on its way; also when that did not end well.
    private static func upload(
        _ job: SendJob, _ transfer: TransferID, stream: UploadStream, link: RelayLink, queue: EventQueue<Event>
    ) async -> ContentSummary? {
        let sent = NIOLockedValueBox<ContentSummary?>(nil)
        let uploader = Uploader(
            source: job.source, stream: stream,
            progress: { link.reporter.report(.progress(job.transfer, bytes: $0)) },
            summed: { summary in sent.withLockedValue { $0 = summary } }
        )
        do {
            try await uploader.run()
            queue.post(.uploadEnded(transfer, .finished, nil))
        } catch let error as StreamError {
            stream.abort()
            queue.post(.uploadEnded(transfer, .broken(error.failure(as: .upload)), error))
        } catch {
            stream.abort()
            let code = (error as? FileError)?.failureCode ?? .cannotRead
            queue.post(.uploadEnded(transfer, .unreadable(code), error))
        }
        return sent.withLockedValue { $0 }
    }

    /// Sees to it that the machine's deadline is told.
    private mutating func rearm() {
        timer?.cancel()
        timer = machine.deadline.map { post(.deadlinePassed, at: $0) }
    }

    private func post(_ event: Event, at deadline: NIODeadline) -> Scheduled<Void> {
        link.timers.scheduleTask(deadline: deadline) { [queue] in queue.post(event) }
    }

    /// The result, once nothing reads the source any more.
    private mutating func finished() async -> Result {
        upload?.cancel()
        result.summary = await upload?.value
        return result
    }
}
