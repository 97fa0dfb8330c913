// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// One transfer on one control connection, from the offer to its outcome: the loop that feeds a ``SendMachine`` and
/// runs its actions.
struct SendAttempt {
    /// What can happen meanwhile.
    enum Event: Sendable {
        case message(ServerMessage)
        case connectionEnded(ConnectionError)
        /// What this transfer's upload is made of.
        case summed(TransferID, ContentSummary)
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
        /// Why the upload or the connection failed, in more detail than the outcome has.
        var cause: (any Error)?
        /// Whether bytes have flowed.
        var hasStarted = false
        /// Whether this side gave up waiting.
        var hasWaitedLongEnough = false
    }

    let job: SendJob
    let link: RelayLink
    let connection: ControlConnection
    /// The events of the connection and of this attempt.
    let queue: EventQueue<Event>
    /// When to stop waiting for somebody to accept.
    let deadline: NIODeadline
    private var machine: SendMachine
    private var result = Result(outcome: .cancelled)
    private var upload: Task<Void, Never>?
    private var timer: Scheduled<Void>?

    /// Nil when the offer is too long for a message, which only a monstrous name can make it.
    init?(job: SendJob, link: RelayLink, connection: ControlConnection, queue: EventQueue<Event>, deadline: NIODeadline)
    {
        let payload = OfferPayload(name: job.source.name, size: job.source.size)
        guard let payload = PayloadCoding.encode(payload) else { return nil }
        self.job = job
        self.link = link
        self.connection = connection
        self.queue = queue
        self.deadline = deadline
        var timeouts = TransferTimeouts()
        timeouts.explanation = Defaults.explanationTimeout
        machine = SendMachine(
            offer: .init(
                id: connection.nextID(), transfer: job.transfer, to: job.peer, wait: job.waits, payload: payload
            ),
            cancelID: connection.nextID(), timeouts: timeouts
        )
    }

    /// Runs the transfer to its end.
    mutating func run() async -> Result {
        let waiting = post(.waitedLongEnough(job.transfer), at: deadline)
        defer {
            waiting.cancel()
            timer?.cancel()
        }
        if perform(machine.begin(now: .now())) { return await finished() }
        for await event in queue.events {
            let actions = actions(for: event)
            rearm()
            if perform(actions) { return await finished() }
        }
        return await finished()
    }

    private mutating func actions(for event: Event) -> [SendMachine.Action] {
        switch event {
        case .message(let message):
            return machine.received(message, now: .now())
        case .connectionEnded(let error):
            result.cause = error
            return machine.connectionLost()
        case .summed(job.transfer, let summary):
            result.summary = summary
            return []
        case .uploadEnded(job.transfer, let end, let error):
            result.cause = error
            if end == .finished { link.reporter.report(.verifying(job.transfer)) }
            return machine.uploadFinished(end, now: .now())
        case .deadlinePassed:
            return machine.deadlinePassed(now: .now())
        case .waitedLongEnough(job.transfer):
            guard !result.hasStarted else { return [] }
            result.hasWaitedLongEnough = true
            return machine.cancelledByUser()
        case .interrupted:
            return machine.cancelledByUser()
        case .summed, .uploadEnded, .waitedLongEnough:
            return []  // Left over from the transfer before this one.
        }
    }

    /// Runs `actions`; true when the transfer is over.
    private mutating func perform(_ actions: [SendMachine.Action]) -> Bool {
        for action in actions {
            switch action {
            case .send(let message): connection.post(message)
            case .show(.waiting): link.reporter.report(.waiting(job.label))
            case .show(.ringing): link.reporter.report(.ringing(job.label))
            case .show(.accepted): link.reporter.report(.detail("\(job.peer) accepted"))
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

    /// Starts the upload; true when the other client's `accept` makes no sense and the transfer is over.
    private mutating func startUpload(token: Token, url: String, payload: Payload?) -> Bool {
        guard PayloadCoding.accept(payload) != nil else {
            connection.post(.cancel(.init(id: connection.nextID(), transfer: job.transfer, code: .protocolError)))
            return perform(machine.failed(.protocolError, by: .peer))
        }
        result.hasStarted = true
        link.reporter.report(.started(job.label))
        let (job, link, queue) = (job, link, queue)
        upload = Task {
            do throws(StreamError) {
                guard let target = link.relay.resolve(url) else { throw .badAddress }
                let stream = try await UploadStream.open(
                    target, token: token, length: Uploader.bodyLength(of: job.source.size), dialer: link.dialer
                )
                await Self.upload(job, stream: stream, link: link, queue: queue)
            } catch {
                queue.post(.uploadEnded(job.transfer, .broken(error.failure(as: .upload)), error))
            }
        }
        return false
    }

    private static func upload(
        _ job: SendJob, stream: UploadStream, link: RelayLink, queue: EventQueue<Event>
    ) async {
        let uploader = Uploader(
            source: job.source, stream: stream,
            progress: { link.reporter.report(.progress(job.transfer, bytes: $0)) },
            summed: { queue.post(.summed(job.transfer, $0)) }
        )
        do {
            try await uploader.run()
            queue.post(.uploadEnded(job.transfer, .finished, nil))
        } catch let error as StreamError {
            stream.abort()
            queue.post(.uploadEnded(job.transfer, .broken(error.failure(as: .upload)), error))
        } catch {
            stream.abort()
            queue.post(.uploadEnded(job.transfer, .unreadable, error))
        }
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
    private func finished() async -> Result {
        upload?.cancel()
        await upload?.value
        return result
    }
}
