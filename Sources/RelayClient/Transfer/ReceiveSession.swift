// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Receives whatever is offered and accepted, several contents at once: one loop that feeds a ``ReceiveMachine`` for
/// each and runs their actions.
struct ReceiveSession {
    /// What can happen.
    enum Event: Sendable {
        case message(ServerMessage)
        case connectionEnded(ConnectionError)
        case connected(ControlConnection)
        /// There will be no connection.
        case gaveUp(any Error)
        case decided(TransferID, ReceivePolicy.Verdict)
        case downloaded(TransferID, ContentSummary)
        case downloadEnded(TransferID, any Error)
        case stored(TransferID, String)
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
    }

    let link: RelayLink
    let settings: Settings
    let prompt: Prompt?
    let queue = EventQueue<Event>()
    var receptions: [TransferID: Reception] = [:]
    /// The order in which the rings came, for those that wait for their turn.
    var order: [TransferID] = []
    var connection: ControlConnection?
    var presenceID: RequestID?
    /// What is still being tidied up: part files to remove, commands to run.
    var errands: [UInt64: Task<Void, Never>] = [:]
    var errandCount: UInt64 = 0
    /// How the first content ended, with `isOnce`; or why there can be no more.
    var ending: Swift.Result<Void, any Error>?
    /// Whether the reason of the end has been shown, as that of a transfer.
    var hasReported = false
    private var timer: Scheduled<Void>?
    private var backOff = BackOff()
    private var connectedAt = NIODeadline.now()

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
        case .gaveUp(let error): ending = .failure(error)
        case .decided(let id, let verdict): decided(id, verdict)
        case .downloaded(let id, let summary): downloaded(id, summary)
        case .downloadEnded(let id, let error): downloadEnded(id, error)
        case .stored(let id, let path): stored(id, path)
        case .storingFailed(let id, let error):
            receptions[id]?.cause = error
            step(id) { $0.storeFailed(Self.code(of: error)) }
        case .errandDone(let number): errands[number] = nil
        case .deadlinePassed:
            let now = NIODeadline.now()
            for id in receptions.keys { step(id) { $0.deadlinePassed(now: now) } }
        case .interrupted:
            for id in receptions.keys { step(id) { $0.cancelledByUser() } }
            ending = .failure(CancellationError())
        }
    }

    // MARK: - The connection

    /// - Parameter pause: how long to wait before; nil for the first connection.
    private func connect(after pause: TimeAmount?) {
        let (link, queue) = (link, queue)
        Task {
            do {
                if let pause { try await link.pause(pause) }
                let connection = try await link.connect(until: nil, isAgain: pause != nil)
                queue.post(.connected(connection))
                link.pump(connection, into: queue, message: Event.message, end: Event.connectionEnded)
            } catch {
                queue.post(.gaveUp(error))
            }
        }
    }

    private mutating func connected(_ connection: ControlConnection) {
        self.connection = connection
        connectedAt = .now()
        let id = connection.nextID()
        presenceID = id
        connection.post(.presence(.init(id: id, receiving: true)))
    }

    private mutating func connectionEnded(_ error: ConnectionError) {
        connection = nil
        for id in receptions.keys {
            if receptions[id]?.cause == nil { receptions[id]?.cause = error }
            step(id) { $0.connectionLost() }
        }
        guard ending == nil else { return }
        guard error.isTemporary else {
            ending = .failure(error)
            return
        }
        // A relay that takes connections only to drop them must not be tried in a tight loop.
        if NIODeadline.now() - connectedAt > Defaults.steadyConnection { backOff.reset() }
        var generator = SystemRandomNumberGenerator()
        let pause = backOff.next(using: &generator)
        link.reporter.report(.reconnecting(reason: error.summary, pause: pause))
        connect(after: pause)
    }

    private mutating func received(_ message: ServerMessage) {
        switch message {
        case .ring(let ring): rung(ring)
        case .ok(let ok) where ok.id == presenceID: link.reporter.report(.ready(link.identity.name))
        case .error(let refusal) where refusal.id == presenceID:
            ending = .failure(ConnectionError(refused: refusal.code, name: link.identity.name, relay: link.relay))
        default: for id in receptions.keys { step(id) { $0.received(message) } }
        }
    }

    // MARK: - Time and leaving

    private mutating func rearm() {
        timer?.cancel()
        timer = nil
        guard let deadline = receptions.values.compactMap(\.machine.deadline).min() else { return }
        timer = link.timers.scheduleTask(deadline: deadline) { [queue] in queue.post(.deadlinePassed) }
    }

    /// Tells the relay, and waits for what is being tidied up; not for long after an interrupt.
    private mutating func leave() async {
        timer?.cancel()
        for id in receptions.keys { step(id) { $0.cancelledByUser() } }
        // Some are just being stored: they may keep their name, or leave nothing.
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
