// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// One transfer's way through the session.
extension ReceiveSession {
    /// Somebody offers something: judge it, or ask.
    mutating func rung(_ ring: ServerMessage.Ring) {
        guard let connection, receptions[ring.transfer] == nil else { return }
        guard receptions.count < Defaults.mostRings else { return leaveUnanswered() }
        let machine = ReceiveMachine(
            ring: ring, answerID: connection.nextID(), conclusionID: connection.nextID()
        )
        let offer = PayloadCoding.offer(ring.payload)
        let key = offer?.attempt.map { OfferMemory.Key(sender: ring.key, identity: $0) }
        var label = TransferLabel(
            transfer: ring.transfer, direction: .receive, peer: ring.from, name: offer?.name ?? "?", size: offer?.size
        )
        // Somebody who waits for one file, and has it, takes no other; another session may.
        guard staysUntil == nil || isFinished(key, label) else { return }
        let isAgain = recognize(key, &label)
        receptions[ring.transfer] = Reception(machine: machine, label: label, key: key, connection: connection)
        order.append(ring.transfer)
        guard offer != nil else { return decided(ring.transfer, .decline(.protocolError)) }
        if !isAgain { link.reporter.report(.offered(label)) }
        switch settings.policy.judge(from: ring.from, size: label.size) {
        case .ask where isAgain: decided(ring.transfer, .accept)
        case .ask: ask(ring.transfer, label)
        case .accept: decided(ring.transfer, .accept)
        case .decline(let code): decided(ring.transfer, .decline(code))
        }
    }

    /// A `decline` would be this person's word, and there was none: the offer rings until another session takes it, this
    /// one comes back, or its time is over.
    private mutating func leaveUnanswered() {
        guard !hasLeftUnanswered else { return }
        hasLeftUnanswered = true
        link.reporter.report(
            .warning(
                "\(Defaults.mostRings) offers wait for an answer, and more are left unanswered; "
                    + "answer these, then run receive again"
            )
        )
    }

    /// Whether this offer was accepted before. If so, it is shown as the transfer that it was.
    private func recognize(_ key: OfferMemory.Key?, _ label: inout TransferLabel) -> Bool {
        guard let key else { return false }
        switch memory.recall(key, name: label.name, size: label.size) {
        case .accepted(let interrupted)?:
            label.transfer = interrupted.label.transfer
            return true
        case .finished?: return true
        case nil: break
        }
        // The relay may tell of the new offer before the old transfer is through with the disk.
        guard
            let other = receptions.values.first(where: { $0.key == key && $0.isRunning }),
            other.label.name == label.name, other.label.size == label.size
        else { return false }
        label.transfer = other.label.transfer
        return true
    }

    /// Whether its content is here, from an earlier transfer.
    private func isFinished(_ key: OfferMemory.Key?, _ label: TransferLabel) -> Bool {
        guard let key, case .finished? = memory.recall(key, name: label.name, size: label.size) else { return false }
        return true
    }

    private mutating func ask(_ id: TransferID, _ label: TransferLabel) {
        guard let prompt else { return decided(id, .decline(.declined)) }
        do {
            // Nobody is asked about what has no room. Until it is accepted, there may be less.
            try settings.output.checkRoom(name: label.name, size: label.size)
        } catch {
            return cannotStore(id, error)
        }
        let queue = queue
        receptions[id]?.work = Task {
            let answer = await prompt.ask(ReportText.question(accepting: label))
            queue.post(.decided(id, answer == true ? .accept : .decline(.declined)))
        }
    }

    /// The person, or the policy, has answered.
    mutating func decided(_ id: TransferID, _ verdict: ReceivePolicy.Verdict) {
        switch verdict {
        case .accept: receptions[id]?.isQueued = true
        case .decline(let code): step(id) { $0.decided(.decline(code), now: .now()) }
        case .ask: break
        }
    }

    /// Accepts those whose turn it is.
    mutating func startQueued() {
        let most = settings.parallelDownloads
        var running = running
        for id in order {
            // A node that is being left, and a session that is over, take nothing more.
            guard connection != nil, ending == nil, running.all < most.all else { return }
            guard let reception = receptions[id], reception.isQueued,
                reception.isSmall || running.large < most.large, !isBusy(reception)
            else { continue }
            // The one that was wanted is here.
            guard staysUntil == nil || isFinished(reception.key, reception.label) else { continue }
            receptions[id]?.isQueued = false
            guard let payload = PayloadCoding.encode(AcceptPayload(offset: 0)) else { continue }
            if let key = reception.key,
                case .finished(let summary)? = memory.recall(
                    key, name: reception.label.name, size: reception.label.size
                )
            {
                receptions[id]?.known = summary
                step(id) { $0.decided(.accept(payload), now: .now()) }
                continue
            }
            do {
                let sink = try settings.output.makeSink(name: reception.label.name, size: reception.label.size)
                receptions[id]?.sink = sink
                running.all += 1
                if !reception.isSmall { running.large += 1 }
                step(id) { $0.decided(.accept(payload), now: .now()) }
            } catch {
                cannotStore(id, error)
            }
        }
    }

    /// How many come now, of which `large` are not small.
    private var running: (large: Int, all: Int) {
        receptions.values.reduce(into: (large: 0, all: 0)) { count, reception in
            guard reception.isRunning else { return }
            count.all += 1
            if !reception.isSmall { count.large += 1 }
        }
    }

    /// There is no place for it.
    private mutating func cannotStore(_ id: TransferID, _ error: any Error) {
        receptions[id]?.cause = error
        step(id) { $0.decided(.decline(Self.code(of: error)), now: .now()) }
    }

    /// Whether an earlier transfer of the same content is not through yet.
    private func isBusy(_ reception: Reception) -> Bool {
        guard let key = reception.key else { return false }
        return receptions.values.contains { $0.key == key && $0.isRunning }
    }

    /// Feeds the machine of one transfer and runs its actions.
    mutating func step(_ id: TransferID, _ event: (inout ReceiveMachine) -> [ReceiveMachine.Action]) {
        guard var machine = receptions[id]?.machine else { return }
        let actions = event(&machine)
        receptions[id]?.machine = machine
        for action in actions {
            switch action {
            case .send(let message): receptions[id]?.connection.post(message)
            case .startDownload(let token, let url): startDownload(id, token: token, url: url)
            case .cutStream, .abandon: receptions[id]?.work?.cancel()
            case .report(let outcome): finish(id, outcome)
            }
        }
    }

    private mutating func startDownload(_ id: TransferID, token: Token, url: String) {
        guard let reception = receptions[id] else { return }
        if let known = reception.known { return confirm(id, known) }
        guard let sink = reception.sink else { return }
        if let key = reception.key { memory.forget(key) }
        let (link, queue, limit) = (link, queue, settings.policy.maximumSize)
        let place = StreamPlace(size: reception.label.size, link: link) { [queue] in queue.post(.report($0)) }
        let progress = ProgressPost(reception: reception, report: place.report)
        let opening = StreamOpening(
            .download, url: url, expires: reception.tokenExpires, of: reception.label.transfer, link: link, at: place
        )
        receptions[id]?.work = Task(executorPreference: place.executor) {
            do {
                let stream = try await opening.run { target, dialer in
                    try await DownloadStream.begun(target, token: token, dialer: dialer)
                } abort: { stream in
                    stream.abort()
                }
                defer { stream.abort() }
                try await withTaskCancellationHandler {
                    place.report(.started(reception.label))
                    let downloader = Downloader(
                        stream: stream, sink: sink, size: reception.label.size, limit: limit,
                        progress: progress.callAsFunction
                    )
                    queue.post(.downloaded(id, try await downloader.run()))
                } onCancel: {
                    stream.abort()
                }
            } catch {
                queue.post(.downloadEnded(id, error))
            }
        }
    }

    /// The content came with an earlier transfer, and its sender does not know.
    private mutating func confirm(_ id: TransferID, _ summary: ContentSummary) {
        receptions[id]?.summary = summary
        step(id) { $0.downloadFinished() }
        tellDelivered(id)
    }

    /// Everything is there and verified: store it under its name.
    mutating func downloaded(_ id: TransferID, _ summary: ContentSummary) {
        guard let sink = receptions[id]?.sink else { return }
        receptions[id]?.summary = summary
        step(id) { $0.downloadFinished() }
        guard let label = receptions[id]?.label else { return }
        link.reporter.report(.verifying(label.transfer))
        let queue = queue
        receptions[id]?.work = Task {
            do {
                queue.post(.stored(id, try await sink.finish()))
            } catch {
                queue.post(.storingFailed(id, error))
            }
        }
    }

    /// The download ended badly: the stream broke, or what came cannot be kept.
    mutating func downloadEnded(_ id: TransferID, _ error: any Error) {
        receptions[id]?.cause = error
        if let error = error as? StreamError {
            step(id) { $0.downloadFailed(error.failure(as: .download), now: .now()) }
        } else {
            step(id) { $0.storeFailed(Self.code(of: error)) }
        }
    }

    /// It has its final name: tell the sender.
    mutating func stored(_ id: TransferID, _ content: StoredContent) {
        receptions[id]?.stored = content
        tellDelivered(id)
    }

    private mutating func tellDelivered(_ id: TransferID) {
        guard let summary = receptions[id]?.summary, let payload = PayloadCoding.encode(DeliveredPayload(summary))
        else {
            return
        }
        step(id) { $0.stored(payload, now: .now()) }
    }

    /// What the other side is told about an error of this side.
    static func code(of error: any Error) -> FailureCode {
        switch error {
        case let error as FileError: error.failureCode
        case let error as ContentError: error.code
        case is CancellationError: .cancelled
        default: .cannotWrite
        }
    }
}
