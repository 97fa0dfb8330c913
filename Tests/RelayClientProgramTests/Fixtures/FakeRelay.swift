// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// A relay and other clients in this process: a test says what is answered, and what becomes of each stream. What is
/// sealed is really sealed, and what is uploaded is really read.
final class FakeRelay: ControlConnecting, DataStreams {
    /// One offer, as it came.
    struct Offered: Sendable {
        let offer: ClientMessage.Offer
        let line: FakeLine
        /// From 1.
        let number: Int
        /// Whom it is for.
        let receiver: FakePeer
        /// What that one sees of it; nil where it does not open.
        let opened: ReceivedOffer?
        fileprivate let agreed = Agreed()

        var id: RequestID { offer.id }
        var transfer: TransferID { offer.transfer }
        /// The first of the names that are offered.
        var name: String? { opened?.summary.names.first }

        /// The `start` that an acceptance leads to.
        func start(_ acceptance: Acceptance = Acceptance()) -> ServerMessage {
            let accepted = opened.flatMap { try? receiver.accept($0, acceptance) }
            agreed.keys.withLock { $0 = accepted?.keys }
            return start(payload: accepted?.payload)
        }

        /// The `start` with this payload.
        func start(payload: Payload?) -> ServerMessage {
            .start(
                .init(
                    id: id, transfer: transfer, role: .upload, token: .random(), url: "/upload", expires: 30,
                    payload: payload
                ))
        }

        /// The receiver says that it has this.
        func delivered(_ summary: DeliveredSummary) -> ServerMessage? {
            guard let keys = agreed.keys.withLock({ $0 }),
                let payload = (try? DeliveredSealing.seal(summary, with: keys)).flatMap({ Payload(bytes: $0) })
            else { return nil }
            return .delivered(.init(id: id, transfer: transfer, payload: payload))
        }

        /// What the receiver says with these notes, in their order.
        func notes(_ notes: [WantedNote]) -> [ServerMessage] {
            guard let keys = agreed.keys.withLock({ $0 }) else { return [] }
            var sealing = NoteSealing(of: .receiver, with: keys)
            return notes.compactMap { note in
                (try? sealing.seal(note.encoded)).flatMap { Payload(bytes: $0) }
                    .map { .note(.init(id: id, transfer: transfer, payload: $0)) }
            }
        }

        /// The end of it.
        func failed(_ code: FailureCode, by party: ServerMessage.Failed.Party) -> ServerMessage {
            .failed(.init(id: id, transfer: transfer, code: code, by: party))
        }

        /// How far it is.
        func state(_ state: ServerMessage.Offered.State) -> ServerMessage {
            .offered(.init(id: id, transfer: transfer, state: state))
        }
    }

    /// The keys of an attempt, once its receiver has accepted.
    fileprivate final class Agreed: Sendable {
        let keys = Mutex<AttemptKeys?>(nil)
    }

    /// One download that was begun: the test ends it.
    struct Downloading: Sendable {
        let request: DownloadRequest
        fileprivate let tell: @Sendable (DownloadEvent) -> Void
        /// Finished when nothing runs for it any more.
        fileprivate let running: AsyncStream<Void>.Continuation

        func end(_ result: Result<Void, ClientError>) {
            tell(.ended(result))
            running.finish()
        }

        /// These bytes come, and no others.
        func bring(_ bytes: [UInt8]) {
            do {
                let notes = try request.opening.take([ByteBuffer(bytes: bytes)], on: BlockingThread())
                if !notes.isEmpty { tell(.wants(notes)) }
                try request.opening.finish(on: BlockingThread())
                end(.success(()))
            } catch {
                end(.failure(ClientError(error)))
            }
        }
    }

    private struct State {
        var client: Party?
        var peers: [PeerName: FakePeer] = [:]
        var refusals: [ConnectionError] = []
        var pauses: [TimeAmount?] = []
        var lines: [FakeLine] = []
        var said: [ClientMessage] = []
        var offers: [Offered] = []
        var downloads: [Downloading] = []
        /// Whether a download runs until its end; it is only noted otherwise.
        var runsDownloads = false
        var cutDownloads = 0
        var uploads: [UploadRequest] = []
        var wanted: [WantedNote] = []
        var progressed = 0
        var running = 0
        var mostRunning = 0
        var parked: [AsyncStream<Void>.Continuation] = []
    }

    /// One upload, which really reads what is sent.
    private struct Upload: ContentUpload {
        let relay: FakeRelay
        let wishes: WishQueue
        let task: Task<Void, Never>

        func cut() { task.cancel() }
        func receiverProgressed() { relay.state.withLock { $0.progressed += 1 } }
        func receiverWants(_ note: WantedNote) {
            relay.state.withLock { $0.wanted.append(note) }
            wishes.post(note)
        }
    }

    /// How an upload ends.
    let uploadEnd: @Sendable (Int) -> StreamError?
    /// How many uploads wait for each other before they go on; the first goes alone.
    let together: Int
    private let answer: @Sendable (Offered) -> [ServerMessage]
    private let find: @Sendable (ClientMessage.Lookup, FakePeer) -> [ServerMessage]
    /// Whether the receiver says that it has what was sent.
    private let confirms: Bool
    private let state = Mutex(State())

    var lines: [FakeLine] { state.withLock { $0.lines } }
    var offers: [Offered] { state.withLock { $0.offers } }
    var said: [ClientMessage] { state.withLock { $0.said } }
    var downloads: [Downloading] { state.withLock { $0.downloads } }
    var uploads: [UploadRequest] { state.withLock { $0.uploads } }
    /// The notes that were passed to uploads.
    var wanted: [WantedNote] { state.withLock { $0.wanted } }
    /// How often an upload heard that its receiver got further.
    var progressed: Int { state.withLock { $0.progressed } }
    /// The pause before each connection.
    var pauses: [TimeAmount?] { state.withLock { $0.pauses } }
    var mostRunning: Int { state.withLock { $0.mostRunning } }
    var cancels: [ClientMessage.Cancel] {
        said.compactMap { if case .cancel(let cancel) = $0 { cancel } else { nil } }
    }
    var declines: [ClientMessage.Decline] {
        said.compactMap { if case .decline(let decline) = $0 { decline } else { nil } }
    }
    /// Who was asked about, in order.
    var lookups: [PeerName] { said.compactMap { if case .lookup(let lookup) = $0 { lookup.name } else { nil } } }

    /// How often a session asked to be rung.
    var presences: Int { said.count { if case .presence = $0 { true } else { false } } }
    /// How often something was accepted.
    var acceptances: Int { said.count { if case .accept = $0 { true } else { false } } }
    /// The last `accept` of each transfer.
    var accepts: [TransferID: ClientMessage.Accept] {
        var accepts: [TransferID: ClientMessage.Accept] = [:]
        for case .accept(let accept) in said { accepts[accept.transfer] = accept }
        return accepts
    }

    /// - Parameters:
    ///   - together: how many uploads wait for each other.
    ///   - answer: what the relay answers to an offer; ``acceptance(of:)`` has it accepted and delivered.
    ///   - confirms: whether the receiver says that it has what was sent.
    ///   - uploadEnd: what the upload of that number fails with; nil lets it succeed.
    ///   - find: what the relay answers when it is asked who has a name.
    init(
        together: Int = 1,
        answer: @escaping @Sendable (Offered) -> [ServerMessage] = FakeRelay.acceptance, confirms: Bool = true,
        uploadEnd: @escaping @Sendable (Int) -> StreamError? = { _ in nil },
        find: @escaping @Sendable (ClientMessage.Lookup, FakePeer) -> [ServerMessage] = { [.peer($1.found($0.id))] }
    ) {
        self.together = together
        self.uploadEnd = uploadEnd
        self.confirms = confirms
        self.find = find
        self.answer = answer
    }

    /// Who is logged in.
    func client(_ party: Party) { state.withLock { $0.client = party } }

    /// Who is called that, always with the same keys.
    func peer(_ name: PeerName) throws -> FakePeer {
        if let known = state.withLock({ $0.peers[name] }) { return known }
        let new = try FakePeer(name)
        return state.withLock { state in
            defer { if state.peers[name] == nil { state.peers[name] = new } }
            return state.peers[name] ?? new
        }
    }

    /// The next connection does not come about.
    func refuse(_ error: ConnectionError) { state.withLock { $0.refusals.append(error) } }

    /// The messages that lead to an upload.
    static func acceptance(of offered: Offered) -> [ServerMessage] {
        [offered.state(.ringing), offered.state(.accepted), offered.start()]
    }

    func connect(after pause: TimeAmount?) async throws(ClientError) -> any ControlLine {
        let result: Result<FakeLine, ClientError> = state.withLock { state in
            state.pauses.append(pause)
            guard state.refusals.isEmpty else { return .failure(.connection(state.refusals.removeFirst())) }
            let line = FakeLine(self, number: state.lines.count + 1)
            state.lines.append(line)
            return .success(line)
        }
        return try result.get()
    }

    // MARK: - Streams

    func upload(_ request: UploadRequest, tell: @escaping @Sendable (UploadEvent) -> Void) -> any ContentUpload {
        let (gate, opened) = AsyncStream<Void>.makeStream()
        let (ready, end) = state.withLock { state in
            state.uploads.append(request)
            state.running += 1
            state.mostRunning = max(state.mostRunning, state.running)
            state.parked.append(opened)
            let end = uploadEnd(state.uploads.count)
            guard state.parked.count >= together || state.uploads.count == 1 else {
                return ([AsyncStream<Void>.Continuation](), end)
            }
            defer { state.parked = [] }
            return (state.parked, end)
        }
        for gate in ready { gate.finish() }
        let wishes = WishQueue()
        let task = Task {
            tell(.streaming)
            var sent: DeliveredCounts?
            do throws(ClientError) {
                let counts = try await self.read(request, wishes, isWhole: end == nil)
                for await _ in gate {}
                if Task.isCancelled { throw .stream(.cut) }
                if let end { throw .stream(end) }
                sent = counts
                self.state.withLock { $0.running -= 1 }
                tell(.ended(.finished, nil))
            } catch {
                self.state.withLock { $0.running -= 1 }
                let end: SendMachine.UploadResult =
                    switch error {
                    case .stream(let cause): .broken(cause.failure(as: .upload))
                    case .interrupted: .broken(.cut)
                    default: .unreadable(error.failureCode(or: .cannotRead))
                    }
                tell(.ended(end, error))
            }
            tell(.stopped(sent))
            guard let sent, self.confirms else { return }
            let offered = self.offers.last { $0.transfer == request.start.transfer }
            let summary = DeliveredSummary(
                manifest: request.job.tree.digest, entries: sent.entries, bytes: sent.bytes ?? 0
            )
            if let delivered = offered?.delivered(summary) { offered?.line.say([delivered]) }
        }
        return Upload(relay: self, wishes: wishes, task: task)
    }

    /// Reads and seals everything, or, if not `isWhole`, what there is at once. Returns how much the receiver has then.
    private func read(
        _ request: UploadRequest, _ wishes: WishQueue, isWhole: Bool
    ) async throws(ClientError) -> DeliveredCounts {
        let filling = try await BlockingWork.files.run { ChunkFilling(try request.makeReader(), keys: request.keys) }
        while true {
            let batch = try await BlockingWork.files.run { thread in try filling.next(on: thread) }
            if batch.isLast || !isWhole {
                filling.completeChecksums()
                return filling.sent
            }
            guard !batch.goesOn else { continue }
            while true {
                guard let note = await wishes.next() else { throw .interrupted }
                try filling.want(note)
                if note.isLast { break }
            }
        }
    }

    func download(_ request: DownloadRequest, tell: @escaping @Sendable (DownloadEvent) -> Void) -> Task<Void, Never> {
        let (running, continuation) = AsyncStream<Void>.makeStream()
        if let error = request.begin() {
            tell(.ended(.failure(error)))
            return Task {}
        }
        let runs = state.withLock { state in
            state.downloads.append(Downloading(request: request, tell: tell, running: continuation))
            return state.runsDownloads
        }
        return Task {
            guard runs else { return }
            for await _ in running {}
            if Task.isCancelled { self.state.withLock { $0.cutDownloads += 1 } }
        }
    }

    /// Downloads run from now on until they are ended, or cut.
    func runDownloads() { state.withLock { $0.runsDownloads = true } }

    /// How many were cut.
    var cutDownloads: Int { state.withLock { $0.cutDownloads } }

    // MARK: - What the client says

    func heard(_ message: ClientMessage, on line: FakeLine) {
        state.withLock { $0.said.append(message) }
        switch message {
        case .lookup(let lookup): if let peer = try? peer(lookup.name) { line.say(find(lookup, peer)) }
        case .offer(let offer): heard(offer, on: line)
        case .presence(let presence): line.say([.ok(.init(id: presence.id))])
        default: break
        }
    }

    private func heard(_ offer: ClientMessage.Offer, on line: FakeLine) {
        guard let receiver = try? peer(offer.to) else { return }
        let client = state.withLock { $0.client }
        let opened = client.flatMap { receiver.open(offer, of: $0) }
        let offered = state.withLock { state in
            let offered = Offered(
                offer: offer, line: line, number: state.offers.count + 1, receiver: receiver, opened: opened
            )
            state.offers.append(offered)
            return offered
        }
        line.say(answer(offered))
    }
}
