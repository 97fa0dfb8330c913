// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import TransferClient
import WSProtocol

/// One transfer as the receiver keeps it: its machine, and what runs for it.
struct IncomingTransfer {
    private(set) var machine: ReceiveMachine
    let label: TransferLabel
    let offer: ReceivedOffer
    /// The ring of the same that has come by a later connection, while this one was being accepted.
    private(set) var later: (ring: ServerMessage.Ring, outbox: Outbox)?
    /// What holds for its sender.
    let rules: ReceiveRules
    /// The connection that it was rung on: its ids belong to that one.
    private(set) var outbox: Outbox
    /// The relay's `start`, once it has come, and when that was.
    private(set) var start: ServerMessage.Start?
    private var startedAt: NIODeadline?
    private var stage = Stage.deciding
    /// The question, the preparation, the download, or the storing: whatever runs now.
    var work: Task<Void, Never>?
    /// What seals what is said to the sender, once it was accepted.
    private(set) var keys: AttemptKeys?
    private var notes: NoteSealing?
    /// The attempt that a place was looked for as: this one, or one that it took the place of; nil before its turn.
    private(set) var searched: TransferID?
    /// Where it goes, once there is a place.
    private(set) var sink: (any TransferSink)?
    /// The most bytes of content that are taken of it; nil without a limit.
    private(set) var limit: UInt64?
    /// Where it is, once it is stored.
    private(set) var stored: StoredTransfer?
    /// Why it failed, in more detail than the machine knows.
    private(set) var cause: ClientError?
    /// Why the control connection ended meanwhile, if it did.
    private(set) var lost: ConnectionError?
    /// Whether the other client has ended it: then it does not come again.
    private(set) var isEndedByPeer = false
    /// When the relay was asked for something about it that it has not answered.
    fileprivate var askedAt: NIODeadline?
    /// Whether what is on its way may still come after it has ended.
    private(set) var isDraining = false
    /// Whether an earlier attempt has brought everything: then nothing is received, only confirmed.
    private(set) var isHere = false
    /// The transfer in whose place it comes, because what that one carried was changed meanwhile.
    let before: OfferMemory.Key?
    /// What the person, or the policy, said or says yes to.
    fileprivate(set) var agreed: OfferSummary

    /// What it waits for before it takes a place for downloads, and whether it has one.
    private enum Stage {
        case deciding
        /// The person, or the policy, has said yes, and it waits for its turn.
        case queued
        /// Its turn has come.
        case running
    }

    /// A ring has come on the connection of `outbox`.
    ///
    /// - Parameter before: the transfer in whose place it comes, if any.
    init(
        _ ring: ServerMessage.Ring, _ offer: ReceivedOffer, label: TransferLabel, rules: ReceiveRules,
        on outbox: Outbox, before: OfferMemory.Key? = nil
    ) {
        machine = ReceiveMachine(
            ring: ring, answerID: outbox.nextID(about: ring.transfer), conclusionID: outbox.nextID(about: ring.transfer)
        )
        self.label = label
        self.offer = offer
        self.rules = rules
        self.outbox = outbox
        self.before = before
        agreed = label.summary
    }

    /// By what an earlier or a later attempt of the same transfer is known.
    var key: OfferMemory.Key { .init(sender: offer.parties.sender.identity, transfer: offer.transfer) }

    /// Whether the person, or the policy, has said yes and it waits for its turn.
    var isQueued: Bool { stage == .queued }

    /// Whether it takes one of the places for downloads.
    var isRunning: Bool { stage == .running && !isHere }

    /// Whether nothing may follow it where its content goes: what went out to standard output cannot be taken back.
    var isSpoilt: Bool { sink.map { !$0.isRepeatable } ?? false }

    /// Whether it can come once more. What has no size is read from a pipe, and does not come a second time once some
    /// of it has come. Without a place nothing has come yet.
    var mayComeAgain: Bool { sink.map { $0.isRepeatable && (label.size != nil || !$0.hasContent) } ?? true }

    /// Whether its bytes cost little beside the steps of its transfer.
    var isSmall: Bool { label.size.map { $0 <= Defaults.smallContent } ?? false }

    /// Lets the machine know of something. Returns its actions.
    mutating func step(_ event: (inout ReceiveMachine) -> [ReceiveMachine.Action]) -> [ReceiveMachine.Action] {
        event(&machine)
    }

    /// The same offer has been rung by a later connection, in the place of the one before. It is answered there, unless
    /// that has begun here; then it is kept for when this one comes to nothing.
    mutating func rungAgain(_ ring: ServerMessage.Ring, on outbox: Outbox) {
        let known = machine.ring
        guard outbox.number > self.outbox.number, known.payload == ring.payload, known.key == ring.key else { return }
        guard machine.isUndecided else {
            later = (ring, outbox)
            return
        }
        self.outbox.forget(ring.transfer)
        self.outbox = outbox
        machine = ReceiveMachine(
            ring: ring, answerID: outbox.nextID(about: ring.transfer), conclusionID: outbox.nextID(about: ring.transfer)
        )
    }

    /// The relay says something about the later ring: it may be over.
    mutating func heardOfLater(_ message: ServerMessage) { if case .failed = message { later = nil } }

    /// The place of `earlier`, whose sender offers the same once more from elsewhere before that was answered.
    func inPlace(of earlier: IncomingTransfer) -> IncomingTransfer {
        var transfer = self
        (transfer.stage, transfer.work, transfer.searched) = (earlier.stage, earlier.work, earlier.searched)
        (transfer.isHere, transfer.agreed) = (earlier.isHere, earlier.agreed)
        return transfer
    }

    /// The relay says something about it.
    mutating func heard(_ message: ServerMessage, now: NIODeadline) {
        if case .start(let start) = message, self.start == nil { (self.start, startedAt) = (start, now) }
        if case .failed(let failed) = message {
            if failed.by == .peer { isEndedByPeer = true }
            // The relay has not held this side's request for as long as it waits for the sender's.
            if failed.by == .relay, failed.code == .expired, cause == nil, let startedAt,
                now - startedAt < ProtocolDefaults.attachTimeout
            {
                cause = .transfer(.ownLateness(.receiver, peer: label.peer))
            }
        }
        // Of a limit the relay says more than the client knows; of all else it is the code that counts.
        if case .error(let refusal) = message, refusal.code == .tooManyTransfers, cause == nil,
            let said = refusal.shownMessage
        {
            cause = .transfer(TransferFailure(refusal.code, side: .receiver, peer: label.peer, said: said))
        }
    }

    /// The person, or the policy, has said yes.
    mutating func accepted() { stage = .queued }

    /// Its turn has come.
    ///
    /// - Parameter isHere: whether an earlier attempt has brought everything.
    mutating func dequeued(isHere: Bool) {
        (stage, self.isHere, searched) = (.running, isHere, machine.ring.transfer)
    }

    /// It is over, but not what is on its way.
    mutating func drains() { isDraining = true }

    /// There is a place for it, and what the sender is told is sealed with `keys`.
    mutating func prepared(_ sink: any TransferSink, limit: UInt64? = nil, keys: AttemptKeys) {
        (self.sink, self.limit) = (sink, limit)
        self.keys = keys
        notes = NoteSealing(of: .receiver, with: keys)
    }

    /// It is stored.
    mutating func stored(_ stored: StoredTransfer) { self.stored = stored }

    /// Seals what the sender is told of the files that are wanted; nil where that cannot be.
    mutating func sealed(_ note: WantedNote) -> Payload? {
        (try? notes?.seal(note.encoded)).flatMap { $0.flatMap { Payload(bytes: $0) } }
    }

    /// What the sender is told once everything is stored.
    var confirmation: Payload? {
        guard let keys, let stored else { return nil }
        return (try? DeliveredSealing.seal(stored.summary, with: keys)).flatMap { Payload(bytes: $0) }
    }

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

    /// What is to be carried once the relay has said that it may begin; nil before.
    func download(in environment: SessionEnvironment) -> DownloadRequest? {
        guard let start, let sink, let keys else { return nil }
        let (sealing, offer) = (environment.sealing, offer)
        return DownloadRequest(
            begin: { sealing.take(offer) }, start: start, label: label, sink: sink,
            opening: ChunkOpening(offer, keys: keys, into: sink, limit: limit), isSilent: isHere,
            progress: progress(environment.clock)
        )
    }

    /// Tells the sender now and then how many bytes have come.
    private func progress(_ clock: any SessionClock) -> @Sendable (UInt64) -> Void {
        let (transfer, outbox) = (machine.ring.transfer, outbox)
        let pace = ProgressPace(now: clock.now())
        return { bytes in
            guard pace.isDue(now: clock.now()) else { return }
            outbox.post(.progress(.init(id: outbox.nextID(), transfer: transfer, bytes: bytes)))
        }
    }

    /// What the command of `--exec`, or of the sender's policy, is run for, once everything is stored.
    var finishedFiles: [FinishedFile] {
        guard let stored, rules.command != nil else { return [] }
        return stored.contents.map { content in
            FinishedFile(
                content: content, from: label.peer,
                size: stored.contents.count == 1 ? stored.bytes : content.fileSize ?? 0, transfer: label.transfer
            )
        }
    }

    /// Whether what came of a transfer that ended like this is of use to another one of the same.
    static func keeps(_ outcome: ReceiveMachine.Outcome) -> Bool {
        switch outcome {
        case .received, .declined, .refused: false
        case .failed(let code, by: _), .notStored(let code): !code.endsTransfer
        case .broken, .cancelled, .unanswered, .connectionLost: true
        }
    }

    /// Returns whether anything is left of it.
    static func putAway(_ sink: any TransferSink, keeping isKept: Bool) async -> Bool {
        // Nothing here throws; it has to go through in a cancelled task too.
        let isLeft = try? await BlockingWork.files.run {
            let isLeft = isKept && sink.hasContent
            if isLeft { sink.keep() } else { sink.discard() }
            return isLeft
        }
        return isLeft ?? true
    }

    /// What is said, and kept in mind, about `error`.
    static func problem(_ error: ClientError) -> OfferMemory.Problem {
        let code: FailureCode =
            switch error {
            case .transfer(let failure): failure.code
            case .connection: .receiverGone
            case .stream, .file, .sealing, .tooLarge, .command, .interrupted: error.failureCode(or: .cannotWrite)
            }
        return OfferMemory.Problem(code: code.rawValue, message: error.description, status: error.status)
    }

    /// Whether its sender begins again, as another transfer, as what is sent was changed meanwhile.
    func isRestarted(_ outcome: ReceiveMachine.Outcome) -> Bool {
        switch (outcome, cause) {
        case (.failed(.sourceChanged, by: .peer), _): true
        // What the sender has said in the stream is opened here.
        case (.notStored(.sourceChanged), .sealing?): true
        default: false
        }
    }

    /// Whether another session of this profile has taken the same attempt.
    var isTakenElsewhere: Bool { cause == .sealing(.repeatedAttempt) }

    /// What has broken it, in the words that the sender has for it, and when it goes on.
    func news(of error: ClientError) -> String {
        let peer = label.peer
        // Without a connection of ours, or with a stream that we could not hold: it was ours that was cut.
        var failure = TransferFailure(.receiverGone, side: .receiver, peer: peer)
        if case .transfer(let known) = error { failure = known }
        if failure.code == .senderGone { return "\(failure.what); it goes on when \(peer) is back" }
        // What was asked for does not come by itself.
        guard offer.summary.answers == nil else { return "\(failure.what); it is asked for again" }
        return "\(failure.what); it goes on when \(peer) sends it again"
    }
}

/// The transfers that a receiver was rung for, in the order of their rings, and what it remembers of earlier ones.
struct IncomingTransfers {
    private(set) var ids: [TransferID] = []
    private var transfers: [TransferID: IncomingTransfer] = [:]
    /// The attempts that later ones have taken the place of before they were answered: what runs for one of them is for
    /// its successor.
    private var successors: [TransferID: TransferID] = [:]
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
        var transfer = transfer
        let known = recalled(transfer) ?? transfer.before.flatMap(memory.interrupted)
        transfer.agreed = known?.accepted ?? transfer.agreed
        if transfers.updateValue(transfer, forKey: id) == nil { ids.append(id) }
    }

    /// The attempt that what was begun as `id` is for now.
    func current(_ id: TransferID) -> TransferID { successors[id] ?? id }

    /// The attempt that a later one of the same takes the place of, as it has not been answered.
    func unanswered(_ key: OfferMemory.Key, _ label: TransferLabel) -> TransferID? {
        ids.first { id in
            transfers[id].map {
                $0.key == key && $0.label.summary.offersSame(as: label.summary) && $0.machine.isUndecided
            } ?? false
        }
    }

    /// `transfer` takes the place of `id`.
    mutating func replace(_ id: TransferID, by transfer: IncomingTransfer) {
        guard let earlier = transfers.removeValue(forKey: id), let index = ids.firstIndex(of: id) else { return }
        earlier.outbox.forget(id)
        let new = transfer.machine.ring.transfer
        ids[index] = new
        transfers[new] = transfer.inPlace(of: earlier)
        for (old, current) in successors where current == id { successors[old] = new }
        successors[id] = new
    }

    /// Takes one out.
    mutating func remove(_ id: TransferID) -> IncomingTransfer? {
        for (old, current) in successors where current == id { successors[old] = nil }
        ids.removeAll { $0 == id }
        return transfers.removeValue(forKey: id)
    }

    /// The relay says something about a transfer. Returns whether the person is to be told that it is slow with that.
    mutating func isAnsweredSlowly(_ id: TransferID, now: NIODeadline) -> Bool {
        guard let asked = transfers[id]?.askedAt else { return false }
        transfers[id]?.askedAt = nil
        return waits.waited(since: asked, now: now)
    }

    /// Whether this offer was accepted before, since this program began.
    func isKnown(_ key: OfferMemory.Key, _ label: TransferLabel) -> Bool {
        if memory.recall(key, label.summary) != nil { return true }
        // The relay may tell of the new offer before the old attempt is through with the disk.
        return transfers.values.contains {
            $0.key == key && $0.isRunning && $0.label.summary.offersSame(as: label.summary)
        }
    }

    /// What the content comes down to, if an earlier attempt has brought it.
    func finished(_ key: OfferMemory.Key, _ label: TransferLabel) -> FinishedTransfer? {
        guard case .finished(let finished)? = memory.recall(key, label.summary) else { return nil }
        return finished
    }

    /// What is remembered of an earlier attempt that broke.
    func recalled(_ transfer: IncomingTransfer) -> OfferMemory.Interrupted? {
        guard case .accepted(let entry)? = memory.recall(transfer.key, transfer.label.summary) else {
            return nil
        }
        return entry
    }

    /// What `offer` takes the place of, if that was accepted before it changed.
    func restarted(_ offer: ReceivedOffer) -> OfferMemory.Key? {
        memory.restarted(by: offer.parties.sender.identity, offer.summary)
    }

    /// Whether the person, or the policy, has said yes to `transfer` in an earlier attempt, or to what it takes the
    /// place of.
    func wasAccepted(_ transfer: IncomingTransfer) -> Bool { recalled(transfer) != nil || transfer.before != nil }

    /// `transfer`, which was accepted, ended as `problem` says, and is to come again. Returns what made room for that
    /// in the memory, if it was interrupted.
    mutating func rememberAcceptance(
        _ transfer: IncomingTransfer, _ problem: OfferMemory.Problem
    ) -> OfferMemory.Interrupted? {
        forget(transfer)
        return memory.rememberAcceptance(transfer.key, transfer.label, problem, accepted: transfer.agreed)
    }

    /// Nothing of `transfer` is waited for any more.
    mutating func forget(_ transfer: IncomingTransfer) {
        memory.forget(transfer.key)
        if let before = transfer.before { memory.forget(before) }
    }

    /// Whether an earlier attempt of the same is not through yet.
    func isBusy(_ transfer: IncomingTransfer) -> Bool {
        transfers.values.contains { $0.key == transfer.key && $0.isRunning }
    }
}

extension Reporter {
    /// Shows that a transfer is stored, and under which names where these are not those that it was sent under.
    func report(_ stored: StoredTransfer, of transfer: TransferID) {
        guard stored.isNew else { return report(.unchanged(transfer, path: stored.folder)) }
        for entry in stored.renamed { report(.renamed(transfer, was: entry.offered, path: entry.path)) }
        let sha256 = report(stored.checksums, of: transfer, isOne: stored.summary.entries == 1)
        report(
            .received(
                transfer, path: stored.path, bytes: stored.bytes, sha256: sha256, replaced: stored.replaced))
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

    /// Begins one. Returns its number.
    @discardableResult
    mutating func start(_ body: @escaping @Sendable () async -> Void) -> UInt64 {
        count += 1
        let (number, queue) = (count, queue)
        tasks[number] = Task {
            await body()
            queue.post(.cleanedUp(number))
        }
        return number
    }

    /// The one of that number has ended.
    mutating func ended(_ number: UInt64) { tasks[number] = nil }

    /// Waits for all that run.
    func wait() async { for task in tasks.values { await task.value } }
}
