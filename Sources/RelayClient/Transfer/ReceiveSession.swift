// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Receives whatever is offered and accepted, several contents at once: one loop that feeds a ``ReceiveMachine`` for
/// each and runs their actions. Looks for the relay again whenever it is gone.
struct ReceiveSession {
    /// What can happen.
    enum Event: Sendable {
        case message(ServerMessage)
        case connectionEnded(ConnectionError)
        case connected(ControlConnection)
        /// There is no connection.
        case notConnected(any Error)
        case decided(TransferID, ReceivePolicy.Verdict)
        case report(TransferReport)
        case downloaded(TransferID, ContentSummary)
        case downloadEnded(TransferID, any Error)
        case stored(TransferID, StoredContent)
        case storingFailed(TransferID, any Error)
        case errandDone(UInt64)
        case deadlinePassed
        case interrupted
    }

    /// What the person asked for.
    struct Settings: Sendable {
        var policy: ReceivePolicy
        var output: ReceiveOutput
        /// Whether to end after the first content.
        var isOnce = false
        /// A command to run for each content.
        var command: String?

        /// How many contents may come at once, of which `large` are not small.
        var parallelDownloads: (large: Int, all: Int) { isOnce ? (1, 1) : output.parallelDownloads }
    }

    let link: RelayLink
    let settings: Settings
    let prompt: Prompt?
    let queue = EventQueue<Event>()
    var receptions: [TransferID: Reception] = [:]
    /// The order in which the rings came, for those that wait for their turn.
    var order: [TransferID] = []
    /// What was accepted before, or is here already.
    var memory = OfferMemory()
    var connection: ControlConnection?
    var presenceID: RequestID?
    /// When the relay should have answered that it rings this session; nil once it has.
    private var presenceDeadline: NIODeadline?
    /// Whether this node takes nothing, or is not heard: it is left once no download runs.
    var isLeavingNode = false
    /// Whether the person was told that there are more offers than this session keeps in mind.
    var hasLeftUnanswered = false
    /// What is still being tidied up: part files to remove, commands to run.
    var errands: [UInt64: Task<Void, Never>] = [:]
    var errandCount: UInt64 = 0
    /// How the first content ended, with `isOnce`; or why there can be no more.
    var ending: Swift.Result<Void, any Error>?
    /// Whether the reason of the end has been shown, as that of a transfer.
    var hasReported = false
    /// With `isOnce`, everything is here, but its sender may not know: how long to stay to say so again.
    var staysUntil: NIODeadline?
    private var timer: (deadline: NIODeadline, task: Scheduled<Void>)?
    private var attempts = AttemptMachine(patience: nil, now: .now())
    private var generator = SystemRandomNumberGenerator()
    /// Whether the relay has answered once: only what had worked is looked for again.
    private var hasWorked = false
    /// Whether the person was told that files may come.
    private var hasBeenReady = false
    /// Whether the person was told that the relay is away, and not yet that it is back.
    private var isAway = false

    init(link: RelayLink, settings: Settings, prompt: Prompt?) {
        self.link = link
        self.settings = settings
        self.prompt = prompt
    }

    /// Receives until there is a reason to stop.
    ///
    /// - Throws: ``TransferFailure``, ``FileError``, ``ConnectionError`` or ``CommandError``, or `CancellationError`
    ///   after an interrupt.
    mutating func run() async throws {
        link.interruption.whenInterrupted { [queue] in queue.post(.interrupted) }
        connect(after: nil)
        for await event in queue.events {
            handle(event)
            leaveNodeIfIdle()
            startQueued()
            rearm()
            if ending != nil { break }
        }
        await leave()
        try ending?.get()
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .message(let message): received(message)
        case .connected(let connection): connected(connection)
        case .connectionEnded(let error): connectionEnded(error)
        case .notConnected(let error as ConnectionError): lookAgain(after: error)
        case .notConnected(let error): ending = .failure(error)
        case .decided(let id, let verdict): decided(id, verdict)
        case .report(let report): link.reporter.report(report)
        case .downloaded(let id, let summary): downloaded(id, summary)
        case .downloadEnded(let id, let error): downloadEnded(id, error)
        case .stored(let id, let content): stored(id, content)
        case .storingFailed(let id, let error):
            receptions[id]?.cause = error
            step(id) { $0.storeFailed(Self.code(of: error)) }
        case .errandDone(let number): errands[number] = nil
        case .deadlinePassed: deadlinePassed(now: .now())
        case .interrupted:
            for id in receptions.keys { step(id) { $0.cancelledByUser() } }
            // What was asked for is here.
            ending = staysUntil == nil ? .failure(CancellationError()) : .success(())
        }
    }

    private mutating func deadlinePassed(now: NIODeadline) {
        timer = nil
        for id in receptions.keys { step(id) { $0.deadlinePassed(now: now) } }
        for forgotten in memory.expire(now: now) {
            self.forgotten(forgotten)
        }
        if let presenceDeadline, presenceDeadline <= now {
            self.presenceDeadline = nil
            leaveNode()  // Another one may be heard.
        }
        if let staysUntil, staysUntil <= now, ending == nil { ending = .success(()) }
    }

    // MARK: - The connection

    /// - Parameter pause: how long to wait before; nil for the first connection.
    private func connect(after pause: TimeAmount?) {
        let (link, queue) = (link, queue)
        Task {
            do {
                if let pause { try await link.pause(pause) }
                let connection = try await link.connect()
                queue.post(.connected(connection))
                link.pump(connection, into: queue, message: Event.message, end: Event.connectionEnded)
            } catch {
                queue.post(.notConnected(error))
            }
        }
    }

    private mutating func connected(_ connection: ControlConnection) {
        self.connection = connection
        hasWorked = true
        let id = connection.nextID()
        presenceID = id
        presenceDeadline = .now() + TransferTimeouts().answer
        isLeavingNode = false
        connection.post(.presence(.init(id: id, receiving: true)))
    }

    /// The relay rings this session from now on.
    private mutating func present() {
        presenceDeadline = nil
        attempts.connected(now: .now())
        if isAway { link.reporter.report(.reconnected) }
        isAway = false
        if !hasBeenReady { link.reporter.report(.ready(link.identity.name)) }
        hasBeenReady = true
    }

    private mutating func connectionEnded(_ error: ConnectionError) {
        connection = nil
        presenceDeadline = nil
        for id in receptions.keys {
            receptions[id]?.lost = error
            if receptions[id]?.cause == nil { receptions[id]?.cause = error }
            step(id) { $0.connectionLost() }
        }
        lookAgain(after: error)
    }

    /// Connects again after a pause, or ends with `error`.
    private mutating func lookAgain(after error: ConnectionError) {
        guard ending == nil else { return }
        let prospect = Prospect(error, hasWorked: hasWorked)
        // A relay that says that it cannot now is there, also when it is gone for a moment after that.
        if prospect.isPassing { hasWorked = true }
        switch attempts.failed(prospect, now: .now(), using: &generator) {
        case .fail, .giveUp: ending = .failure(error)
        case .tryAgain(let pause, let attempt):
            isAway = true
            link.reporter.report(.reconnecting(reason: error.summary, attempt: attempt, pause: pause))
            connect(after: pause)
        }
    }

    private mutating func leaveNodeIfIdle() {
        guard isLeavingNode, !receptions.values.contains(where: \.isRunning) else { return }
        leaveNode()
    }

    /// Looks for another node, because this one takes nothing any more; its connection's end leads to the next.
    private mutating func leaveNode() {
        guard let connection else { return }
        self.connection = nil
        Task { await connection.close() }
    }

    private mutating func received(_ message: ServerMessage) {
        if case .start(let start) = message { receptions[start.transfer]?.tokenExpires = start.expires }
        if case .failed(let failed) = message, failed.by == .peer { receptions[failed.transfer]?.isEndedByPeer = true }
        switch message {
        case .ring(let ring): rung(ring)
        case .ok(let ok) where ok.id == presenceID: present()
        case .error(let refusal) where refusal.id == presenceID:
            guard !Prospect(refusal.code).isPassing else { return leaveNode() }
            ending = .failure(ConnectionError(refused: refusal.code, name: link.identity.name, relay: link.relay))
        default:
            if let id = message.transfer { return step(id) { $0.received(message) } }
            for id in receptions.keys { step(id) { $0.received(message) } }
        }
    }

    // MARK: - Time and leaving

    private mutating func rearm() {
        let own = [memory.deadline, staysUntil, presenceDeadline].compactMap { $0 }
        guard let deadline = (receptions.values.compactMap(\.machine.deadline) + own).min() else { return }
        // Most deadlines only move away: what comes too early looks again.
        if let timer, timer.deadline <= deadline { return }
        timer?.task.cancel()
        timer = (deadline, link.timers.scheduleTask(deadline: deadline) { [queue] in queue.post(.deadlinePassed) })
    }

    /// Goes, and waits for what is being tidied up; not for long after an interrupt.
    ///
    /// What is still offered is not declined: the relay offers it to this name's other sessions, or to the next one.
    private mutating func leave() async {
        timer?.task.cancel()
        // After an interrupt, some are just being stored: they may keep their name, or leave nothing.
        for reception in receptions.values { tidyUp(reception) }
        let (connection, errands) = (connection, errands.values)
        let work = Task {
            await connection?.close()
            for errand in errands { await errand.value }
        }
        guard link.interruption.isInterrupted else { return await work.value }
        let (done, continuation) = AsyncStream<Void>.makeStream()
        Task {
            await work.value
            continuation.finish()
        }
        link.timers.scheduleTask(in: Defaults.leaveTimeout) { continuation.finish() }
        for await _ in done {}
    }
}
