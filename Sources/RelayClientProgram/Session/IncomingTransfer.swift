// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import TransferClient
import WSProtocol

/// One transfer as the receiver keeps it: its machine, and what runs for it.
struct IncomingTransfer {
    private(set) var machine: ReceiveMachine
    let label: TransferLabel
    /// By what an earlier or a later offer of the same is known; nil from a sender that gives no identity.
    let key: OfferMemory.Key?
    /// The connection that it was rung on: its ids belong to that one.
    let outbox: Outbox
    /// The relay's `start`, once it has come.
    private(set) var start: ServerMessage.Start?
    /// Whether the person, or the policy, has said yes and it waits for its turn.
    private(set) var isQueued = false
    /// Where it goes, once it was accepted.
    var sink: (any ContentSink)?
    /// The question, the download, or the storing: whatever runs now.
    var work: Task<Void, Never>?
    /// What was received, once it is verified.
    var summary: ContentSummary?
    /// Where it is, once it is stored.
    var stored: StoredContent?
    /// Why it failed, in more detail than the machine knows.
    private(set) var cause: ClientError?
    /// Why the control connection ended meanwhile, if it did.
    private(set) var lost: ConnectionError?
    /// Whether the other client has ended it: then it does not come again.
    private(set) var isEndedByPeer = false
    /// When the relay was asked for something about it that it has not answered.
    fileprivate var askedAt: NIODeadline?
    /// What it comes down to, when an earlier transfer has brought it: then nothing is received, only confirmed.
    private(set) var known: ContentSummary?

    /// A ring has come on the connection of `outbox`.
    init(_ ring: ServerMessage.Ring, key: OfferMemory.Key?, label: TransferLabel, on outbox: Outbox) {
        machine = ReceiveMachine(
            ring: ring, answerID: outbox.nextID(about: ring.transfer), conclusionID: outbox.nextID(about: ring.transfer)
        )
        self.label = label
        self.key = key
        self.outbox = outbox
    }

    /// Whether it takes one of the places for downloads.
    var isRunning: Bool { sink != nil }

    /// Whether nothing may follow it where its content goes: what went out to standard output cannot be taken back.
    var isSpoilt: Bool { sink.map { !$0.isRepeatable } ?? false }

    /// Whether it can come once more. What has no size is read from a pipe, and does not come a second time once some
    /// of it has come.
    var mayComeAgain: Bool { sink.map { $0.isRepeatable && (label.size != nil || !$0.hasContent) } ?? false }

    /// Whether its bytes cost little beside the steps of its transfer.
    var isSmall: Bool { label.size.map { $0 <= Defaults.smallContent } ?? false }

    /// Lets the machine know of something. Returns its actions.
    mutating func step(_ event: (inout ReceiveMachine) -> [ReceiveMachine.Action]) -> [ReceiveMachine.Action] {
        event(&machine)
    }

    /// The relay says something about it.
    mutating func heard(_ message: ServerMessage) {
        if case .start(let start) = message, self.start == nil { self.start = start }
        if case .failed(let failed) = message, failed.by == .peer { isEndedByPeer = true }
    }

    /// The person, or the policy, has said yes.
    mutating func accepted() { isQueued = true }

    /// Its turn has come. `known` is what it comes down to, when an earlier transfer has brought it.
    mutating func dequeued(known: ContentSummary?) { (isQueued, self.known) = (false, known) }

    /// What runs for it has failed.
    mutating func failed(_ error: ClientError) { cause = error }

    /// The control connection has ended, or was left: that is why it fails, unless there is a reason already.
    mutating func disconnected(_ error: ConnectionError?) {
        lost = error
        if cause == nil { cause = error.map(ClientError.connection) }
    }

    /// Asks the relay for something.
    mutating func post(_ message: ClientMessage, now: NIODeadline) {
        askedAt = now
        outbox.post(message)
    }

    /// Tells the sender now and then how many bytes have come.
    func progress(_ clock: any SessionClock) -> @Sendable (UInt64) -> Void {
        let (transfer, outbox) = (machine.ring.transfer, outbox)
        let pace = ProgressPace(now: clock.now())
        return { bytes in
            guard pace.isDue(now: clock.now()) else { return }
            outbox.post(.progress(.init(id: outbox.nextID(), transfer: transfer, bytes: bytes)))
        }
    }

    /// What is said, and kept in mind, about `error`.
    static func problem(_ error: ClientError) -> OfferMemory.Problem {
        let code: FailureCode =
            switch error {
            case .transfer(let failure): failure.code
            case .connection: .receiverGone
            case .stream, .file, .content, .command, .interrupted: error.failureCode(or: .cannotWrite)
            }
        return OfferMemory.Problem(code: code.rawValue, message: error.description, status: error.status)
    }

    /// What has broken it, in the words that the sender has for it, and when it goes on.
    func news(of error: ClientError) -> String {
        let peer = label.peer
        // Without a connection of ours, or with a stream that we could not hold: it was ours that was cut.
        var failure = TransferFailure(.receiverGone, side: .receiver, peer: peer)
        if case .transfer(let known) = error { failure = known }
        let next = failure.code == .senderGone ? "is back" : "sends it again"
        return "\(failure.what); it begins again when \(peer) \(next)"
    }
}

/// The transfers that a receiver was rung for, in the order of their rings, and what it remembers of earlier ones.
struct IncomingTransfers {
    private(set) var ids: [TransferID] = []
    private var transfers: [TransferID: IncomingTransfer] = [:]
    /// What was accepted before, or is here already.
    var memory = OfferMemory()
    /// How long this connection has waited for answers.
    var waits = AnswerWaits()

    /// The transfer of that id. Setting changes one that was appended.
    subscript(id: TransferID) -> IncomingTransfer? {
        get { transfers[id] }
        set { if transfers[id] != nil { transfers[id] = newValue } }
    }

    var count: Int { ids.count }

    var all: some Collection<IncomingTransfer> { transfers.values }

    /// How many come now, of which `large` are not small.
    var running: (large: Int, all: Int) {
        transfers.values.reduce(into: (large: 0, all: 0)) { count, transfer in
            guard transfer.isRunning else { return }
            count.all += 1
            if !transfer.isSmall { count.large += 1 }
        }
    }

    /// When the first of them is due.
    var deadline: NIODeadline? { transfers.values.lazy.compactMap(\.machine.deadline).min() }

    /// Adds one that was rung, unless it is known.
    mutating func append(_ transfer: IncomingTransfer) {
        let id = transfer.machine.ring.transfer
        if transfers.updateValue(transfer, forKey: id) == nil { ids.append(id) }
    }

    /// Takes one out.
    mutating func remove(_ id: TransferID) -> IncomingTransfer? {
        ids.removeAll { $0 == id }
        return transfers.removeValue(forKey: id)
    }

    /// The relay says something about a transfer. Returns whether the person is to be told that it is slow with that.
    mutating func isAnsweredSlowly(_ id: TransferID, now: NIODeadline) -> Bool {
        guard let asked = transfers[id]?.askedAt else { return false }
        transfers[id]?.askedAt = nil
        return waits.waited(since: asked, now: now)
    }

    /// Whether this offer was accepted before. If so, it is shown as the transfer that it was.
    func recognize(_ key: OfferMemory.Key?, _ label: inout TransferLabel) -> Bool {
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
            let other = transfers.values.first(where: { $0.key == key && $0.isRunning }),
            other.label.name == label.name, other.label.size == label.size
        else { return false }
        label.transfer = other.label.transfer
        return true
    }

    /// What the content comes down to, if an earlier transfer has brought it.
    func stored(_ key: OfferMemory.Key?, _ label: TransferLabel) -> ContentSummary? {
        guard let key, case .finished(let summary)? = memory.recall(key, name: label.name, size: label.size) else {
            return nil
        }
        return summary
    }

    /// What is remembered of an earlier transfer of the same that broke.
    func recalled(_ transfer: IncomingTransfer) -> OfferMemory.Interrupted? {
        guard let key = transfer.key,
            case .accepted(let entry)? = memory.recall(key, name: transfer.label.name, size: transfer.label.size)
        else { return nil }
        return entry
    }

    /// Whether an earlier transfer of the same content is not through yet.
    func isBusy(_ transfer: IncomingTransfer) -> Bool {
        guard let key = transfer.key else { return false }
        return transfers.values.contains { $0.key == key && $0.isRunning }
    }
}

/// How often the sender hears how far a download is.
final class ProgressPace: Sendable {
    private let due: Mutex<NIODeadline>

    init(now: NIODeadline) { due = Mutex(now + Defaults.progressInterval) }

    /// Whether it is time to say it again.
    func isDue(now: NIODeadline) -> Bool {
        due.withLock { due in
            guard now >= due else { return false }
            due = now + Defaults.progressInterval
            return true
        }
    }
}

/// What has to be done before a session leaves, but nothing waits for until then: part files to remove, commands to
/// run.
struct CleanupTasks {
    private let queue: EventQueue<SessionEvent>
    private var tasks: [UInt64: Task<Void, Never>] = [:]
    private var count: UInt64 = 0

    /// - Parameter queue: told the number of each that has ended.
    init(_ queue: EventQueue<SessionEvent>) { self.queue = queue }

    /// Begins one.
    mutating func start(_ body: @escaping @Sendable () async -> Void) {
        count += 1
        let (number, queue) = (count, queue)
        tasks[number] = Task {
            await body()
            queue.post(.cleanedUp(number))
        }
    }

    /// The one of that number has ended.
    mutating func ended(_ number: UInt64) { tasks[number] = nil }

    /// Waits for all that run.
    func wait() async { for task in tasks.values { await task.value } }
}
