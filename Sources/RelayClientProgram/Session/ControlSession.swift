// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// A part of the client that uses the session's control connection: sending, receiving, sharing, and fetching what
/// others share.
protocol SessionPart: Sendable {
    /// How it ended; nil while it goes on.
    var ending: SessionEnding? { get }
    /// Whether it needs a control connection now.
    var needsConnection: Bool { get }
    /// Whether leaving the connection of that number would cost what has been transferred.
    func isUnderWay(on connection: UInt64) -> Bool
    /// Whether anything is bound to the connection of that number: also an offer that was not taken yet, and a ring
    /// that was not answered.
    func isBound(to connection: UInt64) -> Bool
    /// When ``deadlinePassed(now:)`` has to be called.
    var deadline: NIODeadline? { get }
    /// Whether others can offer something to it, sealed to what this client has published.
    var isRung: Bool { get }
    /// Takes what it wants of the connection, in order.
    mutating func takeDemands() -> [ConnectionDemand]
    /// Whether `transfer` is one of its own.
    func owns(_ transfer: TransferID) -> Bool

    /// A connection stands.
    mutating func connected(_ outbox: Outbox, now: NIODeadline)
    /// The connection of `outbox` stands, and takes the place of the one before, which is kept for as long as something
    /// is bound to it: what goes on there goes on, and all that can be done here is.
    mutating func moved(to outbox: Outbox, now: NIODeadline)
    /// The connection that stood is gone, or there is none; nil where it was left for another.
    mutating func disconnected(_ error: ConnectionError?, now: NIODeadline)
    /// A connection that another one has replaced is gone.
    mutating func disconnected(_ error: ConnectionError?, former connection: UInt64, now: NIODeadline)
    /// There is no use in looking for the relay.
    mutating func unreachable(_ error: ConnectionError, now: NIODeadline)
    /// The relay says something about one of its transfers, or about none.
    mutating func received(_ message: ServerMessage, on outbox: Outbox, now: NIODeadline)
    /// Something has become of work for one of its transfers.
    mutating func worked(_ event: WorkEvent, on transfer: TransferID, now: NIODeadline)
    /// A cleanup task, by its number, has ended.
    mutating func cleanedUp(_ number: UInt64)
    /// The time is `now`. Harmless when nothing is due.
    mutating func deadlinePassed(now: NIODeadline)
    /// The person wants no more.
    mutating func interrupted(now: NIODeadline)
    /// Does what can be done now; `outbox` is nil while no requests may be made.
    mutating func advance(on outbox: Outbox?, now: NIODeadline)

    /// Stops all work: the session is over.
    mutating func stop()
    /// Waits until nothing runs any more.
    func stopped() async
}

extension SessionPart {
    var isRung: Bool { false }
    mutating func cleanedUp(_ number: UInt64) {}
    func stopped() async {}
}

/// How a part of a session ended.
enum SessionEnding: Hashable, Sendable {
    /// With this status; what there is to say about it has been said.
    case status(ExitStatus)
    /// With an error that is still to be told.
    case failed(ClientError)

    /// How a part that is rung ended.
    init(_ ending: ReceiverMachine.Ending) {
        self =
            switch ending {
            case .done: .status(.done)
            case .failed(.interrupted, isReported: _): .status(.interrupted)
            case .failed(let error, isReported: true): .status(error.status)
            case .failed(let error, isReported: false): .failed(error)
            }
    }
}

/// What a part wants of the session's connection.
enum ConnectionDemand: Hashable, Sendable {
    /// The relay does what it was asked.
    case answered
    /// Another connection, as this one takes nothing, or is not heard.
    case leave(RetryDecision, reason: String)
    /// The relay was waited for in vain: while it is away, that is not done a second time.
    case waitedInVain
}

/// What becomes of the work for one transfer, which runs beside the session's loop.
enum WorkEvent: Sendable {
    case upload(UploadEvent)
    /// What was asked for was looked at.
    case shared(Result<SourceTree, SharedFault>)
    /// A content is still what it was, or is not.
    case rechecked(ClientError?)
    /// A content that has changed is looked at once more.
    case rescanned(Result<SourceTree, ClientError>)
    /// The other receivers of the same input have waited for this one too long.
    case dropped
    /// There is a place for what was accepted, or none.
    case prepared(Result<PreparedSink, ClientError>)
    case decided(ReceivePolicy.Verdict)
    case download(DownloadEvent)
    case stored(Result<StoredTransfer, ClientError>)
}

/// What can happen to a session.
enum SessionEvent: Sendable {
    case connected(any ControlLine)
    case notConnected(ClientError)
    /// The number tells an earlier connection from this one.
    case message(UInt64, ServerMessage)
    case ended(UInt64, ConnectionError)
    case work(TransferID, WorkEvent)
    /// A cleanup task of a part, by its number, has ended.
    case cleanedUp(UInt64)
    case timePassed
    case interrupted
}

/// What happens to a session, in order, for its one loop. Anything may post from any thread.
struct EventQueue<Event: Sendable>: Sendable {
    /// The events; one reader.
    let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation

    init() {
        (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Defaults.mostEvents))
    }

    /// Adds an event of this program's own: there are few of them, and room is kept for them.
    func post(_ event: Event) { continuation.yield(event) }

    /// Adds an event that the relay can cause at will. False when so many wait that something is wrong.
    func postForeign(_ event: Event) -> Bool {
        guard case .enqueued(let room) = continuation.yield(event) else { return false }
        return room > Defaults.mostEvents / 2
    }
}

/// One control connection at a time, kept up as long as a part of the client needs it, and the parts that share it: one
/// loop that owns connection, reconnecting and outbox, and passes what happens to the part whose transfer it is about.
///
/// Everything but ``run()`` is synchronous and takes the time as an argument; what takes longer runs in tasks that post
/// events.
struct ControlSession {
    /// The parts, with what they have come to.
    private(set) var parts: [any SessionPart]
    private let environment: SessionEnvironment
    private let queue: EventQueue<SessionEvent>
    private var machine = ConnectionMachine()
    /// The connection that stands.
    private var outbox: Outbox?
    /// The connections that the one of ``outbox``, or one before it, has replaced.
    private var formers = FormerConnections()
    private var connections: UInt64 = 0
    private var connecting: Task<Void, Never>?
    /// The month when the last connection was asked for, whose prekey is published with it.
    private var published = Epoch(number: 0)
    /// When it is looked whether another month has begun; nil without a connection.
    private var renewal: NIODeadline?
    private var timer: (deadline: NIODeadline, cancel: @Sendable () -> Void)?
    private var generator = SystemRandomNumberGenerator()

    /// - Parameter queue: where the parts post what becomes of their work.
    init(_ environment: SessionEnvironment, queue: EventQueue<SessionEvent>, parts: [any SessionPart]) {
        self.environment = environment
        self.queue = queue
        self.parts = parts
    }

    /// Goes on until every part has ended.
    ///
    /// - Returns: the status of the first part that did not end well, or that all did.
    mutating func run() async throws(ClientError) -> ExitStatus {
        let registration = environment.interrupt.whenInterrupted { [queue] in queue.post(.interrupted) }
        defer { environment.interrupt.forget(registration) }
        begin(now: environment.clock.now())
        var events = queue.events.makeAsyncIterator()
        while !isOver, let event = await events.next() { handle(event, now: environment.clock.now()) }
        await leave()
        var status = ExitStatus.done
        for ending in parts.compactMap(\.ending) {
            switch ending {
            case .failed(let error): throw error
            case .status(let other): if status == .done { status = other }
            }
        }
        return status
    }

    // MARK: - Events

    /// Whether every part has ended.
    var isOver: Bool { parts.allSatisfy { $0.ending != nil } }

    /// When ``SessionEvent/timePassed`` is due.
    var deadline: NIODeadline? {
        let parts = parts.filter { $0.ending == nil }
        let renewal = parts.contains(where: \.isRung) ? renewal : nil
        return (parts.map(\.deadline) + [renewal, formers.deadline]).compactMap(\.self).min()
    }

    /// Does what can be done before anything has happened.
    mutating func begin(now: NIODeadline) {
        settle(now: now)
        rearm()
    }

    /// Takes in what has happened.
    mutating func handle(_ event: SessionEvent, now: NIODeadline) {
        switch event {
        case .connected(let line): connected(line, now: now)
        case .notConnected(.connection(let error)): notConnected(error, now: now)
        case .notConnected: break  // The person wants no more, and that is told.
        case .message(outbox?.number, let message): received(message, now: now)
        case .message(let number, let message): receivedByFormer(number, message, now: now)
        case .ended(outbox?.number, let error):
            outbox = nil
            lost(error, now: now)
        case .ended(let number, let error):
            // Else of one that was left.
            if formers.remove(number) { forEachPart { $0.disconnected(error, former: number, now: now) } }
        case .work(let transfer, let event):
            forEachPart(owning: transfer) { $0.worked(event, on: transfer, now: now) }
        case .cleanedUp(let number): forEachPart { $0.cleanedUp(number) }
        case .timePassed:
            timer = nil
            renew(now: now)
            formers.quieten(now: now)
            forEachPart { $0.deadlinePassed(now: now) }
        case .interrupted: forEachPart { $0.interrupted(now: now) }
        }
        settle(now: now)
        rearm()
    }

    private mutating func forEachPart(owning transfer: TransferID? = nil, _ body: (inout any SessionPart) -> Void) {
        for index in parts.indices where transfer.map(parts[index].owns) ?? true { body(&parts[index]) }
    }

    private mutating func received(_ message: ServerMessage, now: NIODeadline) {
        guard let outbox else { return }
        if case .move = message { return moveAsked(now: now) }
        // A ring is of a transfer that no part knows yet.
        let transfer: TransferID? = if case .ring = message { nil } else { outbox.transfer(of: message) }
        forEachPart(owning: transfer) { $0.received(message, on: outbox, now: now) }
    }

    /// What a connection that was replaced says is about what goes on there, or about nothing: what it rings, and what
    /// it is asked for, is brought by the one that stands as well.
    private mutating func receivedByFormer(_ number: UInt64, _ message: ServerMessage, now: NIODeadline) {
        guard let former = formers[number], let transfer = former.transfer(of: message) else { return }
        if case .ring = message { return }
        forEachPart(owning: transfer) { $0.received(message, on: former, now: now) }
    }

    /// Lets the parts do what they can, and does what they want of the connection.
    private mutating func settle(now: NIODeadline) {
        let open = machine.isOpen ? outbox : nil
        forEachPart { $0.advance(on: open, now: now) }
        for index in parts.indices { for demand in parts[index].takeDemands() { run(demand, now: now) } }
        let unused = formers.takeUnused { number in parts.contains { $0.isBound(to: number) } }
        for former in unused {
            environment.reporter.report(.detail("the connection to the node that stops is not needed any more"))
            Task { await former.close() }
        }
        let isUnderWay = outbox.map { outbox in parts.contains { $0.isUnderWay(on: outbox.number) } } ?? false
        if machine.isLeaving, !isUnderWay {
            run(machine.idle(now: now, using: &generator), now: now)
            guard !machine.isOpen else { return }
            forEachPart { $0.disconnected(nil, now: now) }
            return settle(now: now)
        }
        if parts.contains(where: { $0.ending == nil && $0.needsConnection }) { run(machine.wanted(), now: now) }
    }

    // MARK: - The connection

    private mutating func connected(_ line: any ControlLine, now: NIODeadline) {
        let isMove = machine.isMoving
        run(machine.connected(), now: now)
        connections += 1
        renewal = now + Defaults.prekeyCheck
        let outbox = Outbox(line, number: connections)
        self.outbox = outbox
        let (number, relay, queue) = (connections, environment.relay, queue)
        Task(executorPreference: environment.executor) {
            var lost = ConnectionError(closed: nil, reason: .violation(.messageTooLong), relay: relay)
            do {
                for try await message in line.messages {
                    guard queue.postForeign(.message(number, message)) else { break }
                }
            } catch {
                lost = ClientError(error).connection ?? ConnectionError(closed: nil, reason: .lost, relay: relay)
            }
            queue.post(.ended(number, lost))
            line.abort()
        }
        forEachPart { if isMove { $0.moved(to: outbox, now: now) } else { $0.connected(outbox, now: now) } }
        // Where no other client has to find this one, nothing is waited for.
        if isMove, !parts.contains(where: { $0.ending == nil && $0.isRung }) { formers.covered(now: now) }
    }

    /// The node of the connection is about to stop.
    private mutating func moveAsked(now: NIODeadline) {
        guard !machine.isMoving else { return }
        environment.reporter.report(.detail("the node of the relay that this client is connected to is about to stop"))
        run(machine.moveAsked(), now: now)
    }

    /// No connection could be made.
    private mutating func notConnected(_ error: ConnectionError, now: NIODeadline) {
        guard machine.isMoving else { return lost(error, now: now) }
        environment.reporter.report(.detail("no connection to another node yet: \(error.summary)"))
        run(machine.moveFailed(error, now: now, using: &generator), now: now)
    }

    /// There is no connection, or none any more.
    private mutating func lost(_ error: ConnectionError, now: NIODeadline) {
        forEachPart { $0.disconnected(error, now: now) }
        guard !isOver else { return }
        run(machine.lost(error, now: now, using: &generator), now: now)
    }

    /// What others seal to is the prekey of the month in which this client logged in: in another month it logs in once
    /// more, when nothing is under way.
    private mutating func renew(now: NIODeadline) {
        guard let renewal, renewal <= now else { return }
        self.renewal = now + Defaults.prekeyCheck
        let month = Epoch(milliseconds: environment.sealing.time())
        guard parts.contains(where: { $0.ending == nil && $0.isRung }), published < month else { return }
        machine.leave(.elsewhere, "\(month) has begun, whose key is published now")
    }

    private mutating func run(_ demand: ConnectionDemand, now: NIODeadline) {
        switch demand {
        case .answered:
            run(machine.relayAnswered(now: now), now: now)
            if machine.isProved { formers.covered(now: now) }
        case .leave(let decision, let reason): machine.leave(decision, reason)
        case .waitedInVain: machine.waitedInVain()
        }
    }

    private mutating func run(_ actions: [ConnectionMachine.Action], now: NIODeadline) {
        for action in actions {
            switch action {
            case .connect(let pause): connect(after: pause)
            case .close:
                let outbox = outbox
                self.outbox = nil
                Task { await outbox?.close() }
            case .reportReconnecting(let reason, let attempt, let pause):
                environment.reporter.report(.reconnecting(reason: reason, attempt: attempt, pause: pause))
            case .reportReconnected: environment.reporter.report(.reconnected)
            case .giveUp(let error): forEachPart { $0.unreachable(error, now: now) }
            case .replace:
                environment.reporter.report(.detail("connected to another node of the relay"))
                if let outbox { formers.append(outbox) }
            }
        }
    }

    private mutating func connect(after pause: TimeAmount?) {
        let (connector, queue) = (environment.connector, queue)
        renewal = nil
        published = Epoch(milliseconds: environment.sealing.time())
        connecting = Task {
            do throws(ClientError) {
                let line = try await connector.connect(after: pause)
                // Nothing waits for it any more: it must not stay logged in.
                if Task.isCancelled { line.abort() } else { queue.post(.connected(line)) }
            } catch {
                queue.post(.notConnected(error))
            }
        }
    }

    // MARK: - Time and leaving

    private mutating func rearm() {
        guard let deadline else { return }
        // Most deadlines only move away: what comes too early looks again.
        if let timer, timer.deadline <= deadline { return }
        timer?.cancel()
        timer = (deadline, environment.clock.wake(at: deadline) { [queue] in queue.post(.timePassed) })
    }

    /// Goes, and waits for what is being tidied up; not for long after an interrupt.
    private mutating func leave() async {
        timer?.cancel()
        connecting?.cancel()
        for index in parts.indices { parts[index].stop() }
        let (outboxes, parts) = (formers.outboxes + [outbox].compactMap(\.self), parts)
        let work = Task {
            for outbox in outboxes { await outbox.close() }
            for part in parts { await part.stopped() }
        }
        guard environment.interrupt.isInterrupted else { return await work.value }
        let (done, continuation) = AsyncStream<Void>.makeStream()
        Task {
            await work.value
            continuation.finish()
        }
        let end = environment.clock.now() + Defaults.leaveTimeout
        let cancel = environment.clock.wake(at: end) { continuation.finish() }
        for await _ in done {}
        cancel()
    }
}

/// The connections that later ones have replaced, which are kept for what was begun on them. Pure but for the boxes in
/// it: the time is an argument.
struct FormerConnections {
    private struct Former {
        let outbox: Outbox
        /// When every node can find the client by the later connection; nil as long as that one is not proved.
        var coveredAt: NIODeadline?
        /// Whether the relay was told not to ring it any more.
        var isQuiet = false
    }

    private var formers: [Former] = []

    /// The one of that number.
    subscript(number: UInt64) -> Outbox? { formers.first { $0.outbox.number == number }?.outbox }

    /// The outboxes of all these connections.
    var outboxes: [Outbox] { formers.map(\.outbox) }

    /// When ``quieten(now:)`` has to be called.
    var deadline: NIODeadline? { formers.compactMap { $0.isQuiet ? nil : $0.coveredAt }.min() }

    /// A later connection has replaced `outbox`.
    mutating func append(_ outbox: Outbox) { formers.append(Former(outbox: outbox)) }

    /// The connection of that number is gone. Returns whether it was one of these.
    mutating func remove(_ number: UInt64) -> Bool {
        let before = formers.count
        formers.removeAll { $0.outbox.number == number }
        return formers.count < before
    }

    /// The connection that stands does what it is asked.
    mutating func covered(now: NIODeadline) {
        for index in formers.indices where formers[index].coveredAt == nil {
            formers[index].coveredAt = now + TransferDefaults.moveOverlap
        }
    }

    /// Has those rung no more that are not needed for that.
    mutating func quieten(now: NIODeadline) {
        for index in formers.indices where !formers[index].isQuiet {
            guard let coveredAt = formers[index].coveredAt, coveredAt <= now else { continue }
            formers[index].isQuiet = true
            let outbox = formers[index].outbox
            outbox.post(.presence(.init(id: outbox.nextID(), receiving: false, sharing: false)))
        }
    }

    /// Takes out those that nothing is left for.
    ///
    /// - Parameter isHeld: whether something goes on over the one of that number.
    mutating func takeUnused(_ isHeld: (UInt64) -> Bool) -> [Outbox] {
        let unused = formers.filter { $0.isQuiet && !isHeld($0.outbox.number) }.map(\.outbox)
        formers.removeAll { former in unused.contains { $0.number == former.outbox.number } }
        return unused
    }
}
