// SPDX-License-Identifier: Apache-2.0

import NIOCore
import PrivateFiles
import Sealing
import Synchronization
import TransferClient
import WSProtocol

/// What is shared, and with whom.
struct ShareSettings: Sendable {
    let tree: SharedTree
    /// Users who may ask; every user, where no name is given. Others are not told that anything is shared.
    var with: [PeerName] = []
    /// Whether the same session receives as well.
    var alsoReceives = false
}

/// Answers those who ask for what is shared, over a session's connection: each request is looked at once, and what it
/// asks for is offered to the one who asked by a ``Sender``. Goes on until the person wants no more.
struct Sharer: SessionPart {
    private let environment: SessionEnvironment
    private let queue: EventQueue<SessionEvent>
    private let settings: ShareSettings
    /// Whether the relay passes requests on to this session.
    private var machine = ReceiverMachine(isOnce: false)
    private var announcement = Announcement()
    private var book = RequestBook()
    /// What was asked and is being looked at.
    private var looking: [TransferID: Asked] = [:]
    /// What was asked and is answered with a listing, and as which transfer.
    private var listing: [PullRequest: (asked: Asked, transfer: TransferID)] = [:]
    private let faults: ListingFaults
    private var files: Sender
    /// Of what they do, a person who shares need not hear.
    private var listings: Sender
    private var outbox: Outbox?
    private var demands: [ConnectionDemand] = []
    /// Whom the person was warned of.
    private var warned: Set<PeerName> = []
    /// Of whom the person knows that they ask for more than is answered.
    private var crowding: Set<PeerName> = []

    private struct Asked {
        let request: ReceivedRequest
        let requester: PeerName
    }

    init(_ settings: ShareSettings, environment: SessionEnvironment, queue: EventQueue<SessionEvent>) {
        self.settings = settings
        self.environment = environment
        self.queue = queue
        files = Sender(sharingIn: environment, queue: queue)
        let faults = ListingFaults()
        self.faults = faults
        var quiet = environment
        quiet.reporter = Reporter(mode: .silent) { faults.add($0) }
        listings = Sender(sharingIn: quiet, queue: queue)
    }

    // MARK: - As a part of a session

    var ending: SessionEnding? { machine.ending.map { SessionEnding($0) } }

    var needsConnection: Bool { true }
    var isRung: Bool { true }
    func isUnderWay(on connection: UInt64) -> Bool {
        files.isUnderWay(on: connection) || listings.isUnderWay(on: connection)
    }

    func isBound(to connection: UInt64) -> Bool {
        files.isBound(to: connection) || listings.isBound(to: connection)
    }

    var deadline: NIODeadline? {
        [machine.deadline, files.deadline, listings.deadline].compactMap { $0 }.min()
    }

    mutating func takeDemands() -> [ConnectionDemand] {
        defer { demands = [] }
        return demands + files.takeDemands() + listings.takeDemands()
    }

    func owns(_ transfer: TransferID) -> Bool {
        looking[transfer] != nil || files.owns(transfer) || listings.owns(transfer)
    }

    mutating func connected(_ outbox: Outbox, now: NIODeadline) {
        self.outbox = outbox
        run(machine.connected(now: now))
        forEachSender { $0.connected(outbox, now: now) }
    }

    mutating func moved(to outbox: Outbox, now: NIODeadline) {
        self.outbox = outbox
        run(machine.connected(now: now))
        forEachSender { $0.moved(to: outbox, now: now) }
    }

    mutating func disconnected(_ error: ConnectionError?, now: NIODeadline) {
        outbox = nil
        machine.disconnected()
        forEachSender { $0.disconnected(error, now: now) }
    }

    mutating func disconnected(_ error: ConnectionError?, former connection: UInt64, now: NIODeadline) {
        forEachSender { $0.disconnected(error, former: connection, now: now) }
    }

    mutating func unreachable(_ error: ConnectionError, now: NIODeadline) { machine.unreachable(error) }

    mutating func received(_ message: ServerMessage, on outbox: Outbox, now: NIODeadline) {
        if outbox.number == self.outbox?.number {
            if case .requested(let requested) = message { return self.requested(requested, on: outbox) }
            if let actions = announcement.answered(by: message, &machine, in: environment) { return run(actions) }
        }
        forEachSender { $0.received(message, on: outbox, now: now) }
    }

    mutating func worked(_ event: WorkEvent, on transfer: TransferID, now: NIODeadline) {
        guard case .shared(let result) = event else {
            return forEachSender { if $0.owns(transfer) { $0.worked(event, on: transfer, now: now) } }
        }
        looked(transfer, result)
    }

    mutating func deadlinePassed(now: NIODeadline) {
        run(machine.deadlinePassed(now: now))
        forEachSender { $0.deadlinePassed(now: now) }
    }

    mutating func interrupted(now: NIODeadline) { machine.interrupted() }

    mutating func advance(on outbox: Outbox?, now: NIODeadline) {
        forEachSender { $0.advance(on: outbox, now: now) }
        for (transfer, code) in faults.take() {
            guard let asked = listing.values.first(where: { $0.transfer == transfer })?.asked,
                let message = ListingFaults.message(for: code, to: asked.requester)
            else { continue }
            environment.reporter.report(
                .refused(asked.requester, asked.request.query, code: code.rawValue, message: message))
        }
        for request in Array(book.answering) where !isAnswering(request) {
            book.ended(request)
            listing[request] = nil
        }
    }

    mutating func stop() { forEachSender { $0.stop() } }

    private mutating func forEachSender(_ body: (inout Sender) -> Void) {
        body(&files)
        body(&listings)
    }

    private func isAnswering(_ request: PullRequest) -> Bool {
        looking.values.contains { $0.request.request == request } || files.isAnswering(request)
            || listings.isAnswering(request)
    }

    private mutating func run(_ actions: [ReceiverMachine.Action]) {
        for action in actions {
            switch action {
            case .announce:
                guard let outbox else { continue }
                // What the receiver of the same session says is the same: the later one does not unsay it.
                announcement.post(receiving: settings.alsoReceives, sharing: true, on: outbox)
            case .answered: demands.append(.answered)
            case .reportReady:
                environment.reporter.report(
                    .sharing(environment.name, names: settings.tree.names, with: settings.with))
            case .leave(let decision, let reason): demands.append(.leave(decision, reason: reason))
            case .reportTooManyOffers: break
            }
        }
    }

    // MARK: - A request

    /// A requester asks: looks whether that one may, and what there is.
    private mutating func requested(_ requested: ServerMessage.Requested, on outbox: Outbox) {
        let requester = requested.from
        guard settings.with.isEmpty || settings.with.contains(requester) else {
            return environment.reporter.report(.detail("\(requester) asks, with whom nothing is shared"))
        }
        guard isMeant(Party(name: requester, identity: requested.key)) else { return }
        // Before anything is opened, which costs more than to ask.
        guard book.hasRoom(for: requested.key) else {
            let limits = "\(TransferDefaults.mostAnswersToOne) of one, \(TransferDefaults.mostAnswers) of all"
            tellOfCrowd(requester, "as many are being answered as may be at once (\(limits))")
            return refuse(requested.request, to: requester, .tooManyRequests, on: outbox)
        }
        let request: ReceivedRequest
        do throws(ClientError) {
            request = try environment.sealing.open(requested)
            let party = Party(name: requester, identity: requested.key)
            if try environment.sealing.meet(party) {
                environment.reporter.report(.firstContact(requester, Fingerprint(of: party.identity)))
            }
        } catch {
            warn(requester, error)
            return refuse(requested.request, to: requester, error.failureCode(or: .cannotRead), on: outbox)
        }
        switch book.take(request, from: requested.key, now: environment.sealing.time()) {
        case .ignore: return
        case .refuse(let code):
            tellOfCrowd(requester, "it was made before others of so many that it may have been answered already")
            return refuse(requested.request, to: requester, code, on: outbox)
        case .answer: break
        }
        environment.reporter.report(.requested(requester, request.query))
        look(Asked(request: request, requester: requester))
    }

    /// What is asked cannot be understood, or is not from the one it should be from.
    private mutating func warn(_ requester: PeerName, _ error: ClientError) {
        let isNews = warned.count < Defaults.mostRings && warned.insert(requester).inserted
        let line = "a request of \(requester) was refused: \(error.description)"
        environment.reporter.report(isNews ? .warning(line) : .detail(line))
    }

    /// Whether the requester may know that anything is shared: not one with another key than the name had before.
    private mutating func isMeant(_ party: Party) -> Bool {
        guard !settings.with.isEmpty else { return true }
        do throws(ClientError) {
            try environment.sealing.check(party)
        } catch {
            warn(party.name, error)
            return false
        }
        return true
    }

    /// A request is refused for how many there are: once, the person is told whose.
    private mutating func tellOfCrowd(_ requester: PeerName, _ reason: String) {
        let isNews = crowding.count < Defaults.mostRings && crowding.insert(requester).inserted
        let line = "a request of \(requester) was refused, and will be made again: \(reason)"
        environment.reporter.report(isNews ? .warning(line) : .detail(line))
    }

    private func refuse(_ request: PullRequest, to requester: PeerName, _ code: FailureCode, on outbox: Outbox) {
        outbox.post(.refuse(.init(id: outbox.nextID(), request: request, to: requester, code: code)))
    }

    private mutating func look(_ asked: Asked) {
        let id = asked.request.request.shown
        looking[id] = asked
        let (tree, query, queue, reporter) = (settings.tree, asked.request.query, queue, environment.reporter)
        Task {
            let found: Result<SourceTree, SharedFault>
            do throws(ClientError) {
                found = try await BlockingWork.files.run {
                    Result { () throws(SharedFault) in
                        try tree.answer(to: query) { remark in reporter.report(.detail(remark)) }
                    }
                }
            } catch {
                found = .failure(.cannotRead(FileError(code: .cannotRead, message: error.description)))
            }
            queue.post(.work(id, .shared(found)))
        }
    }

    /// What was asked for is there, or is not.
    private mutating func looked(_ id: TransferID, _ result: Result<SourceTree, SharedFault>) {
        guard let asked = looking.removeValue(forKey: id) else { return }
        let (request, requester) = (asked.request, asked.requester)
        do throws(SharedFault) {
            let tree = try result.get()
            var broken: CarriedTransfer?
            if case .fetch(_, let asked?) = request.query, asked.manifest == tree.digest { broken = asked.transfer }
            // No requester can have another one's transfer cut by naming it.
            if let transfer = broken, !files.maySend(transfer, to: requester) { broken = nil }
            var job = SendJob(peer: requester, tree: tree, options: settings.tree.options, goingOnWith: broken)
            job.answers = request.request
            if case .list = request.query {
                listing[request.request] = (asked, job.shownID)
                listings.add(job)
            } else {
                files.add(job)
            }
        } catch {
            environment.reporter.report(
                .refused(requester, request.query, code: error.code.rawValue, message: error.message))
            // Without a connection, the requester asks again.
            if let outbox { refuse(request.request, to: requester, error.code, on: outbox) }
        }
    }
}

extension SharedTree {
    /// What answers a request, to be sent.
    fileprivate func answer(
        to query: PullQuery, remark: @escaping @Sendable (String) -> Void
    ) throws(SharedFault) -> SourceTree {
        switch query {
        case .fetch(let paths, resuming: _): return try tree(of: paths, remark: remark)
        case .list(let path):
            let listing = try listing(of: path)
            do throws(FileError) {
                return try SourceTree.stream(of: listing, name: PullQuery.listingName)
            } catch {
                throw .cannotRead(error)
            }
        }
    }
}

/// The listings that have come to nothing, of what is told of all of them.
private final class ListingFaults: Sendable {
    private let faults = Mutex<[(TransferID, FailureCode)]>([])

    /// Takes note of a failure.
    func add(_ report: TransferReport) {
        guard case .failed(let transfer?, let word, _) = report, let code = FailureCode(rawValue: word) else { return }
        faults.withLock { $0.append((transfer, code)) }
    }

    /// The failures since the last call: each is returned once.
    func take() -> [(TransferID, FailureCode)] {
        faults.withLock { faults in
            defer { faults = [] }
            return faults
        }
    }

    /// What the person who shares reads; nil where there is nothing to mend.
    static func message(for code: FailureCode, to requester: PeerName) -> String? {
        switch code {
        case .protocolError, .verificationFailed:
            "\(requester)'s client cannot make sense of it; check that both are of the same version"
        case .tooLarge:
            "it has more entries than \(requester)'s client shows; put less into one folder, or have it fetched as a whole"
        case .cannotRead, .cannotWrite, .noSpace:
            TransferFailure(code, side: .sender, peer: requester).description
        default: nil
        }
    }
}

extension PullRequest {
    /// As the id of what is done for it.
    fileprivate var shown: TransferID { TransferID(bytes: bytes) ?? .random() }
}
