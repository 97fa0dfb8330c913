// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// A session with doubles for everything outside: events are taken one at a time, and time stands still until the test
/// moves it.
final class SessionFixture {
    let relay: FakeRelay
    let clock = ManualClock()
    let queue = EventQueue<SessionEvent>()
    let environment: SessionEnvironment
    private let folder: TemporaryDirectory
    /// Where is received into, which lasts as long as this.
    private let inbox: ReceivedFolder?
    private let reports: OpenFile
    private var events: AsyncStream<SessionEvent>.AsyncIterator
    private(set) var session: ControlSession

    /// - Parameters:
    ///   - inbox: where is received into.
    ///   - parts: what is to be done over the session.
    init(
        _ relay: FakeRelay = FakeRelay(), keeping inbox: ReceivedFolder? = nil,
        parts: (SessionEnvironment, EventQueue<SessionEvent>) throws -> [any SessionPart]
    ) throws {
        self.relay = relay
        self.inbox = inbox
        folder = try TemporaryDirectory()
        reports = try OpenFile(folder.file("reports"), flags: O_CREAT | O_RDWR, mode: 0o600)
        environment = SessionEnvironment(
            relay: try RelayURL("https://relay.example.com"), name: Samples.bob, connector: relay, streams: relay,
            clock: clock, reporter: Reporter(mode: .json, output: reports.descriptor, errors: reports.descriptor),
            interrupt: InterruptSignal(), executor: nil
        )
        events = queue.events.makeAsyncIterator()
        session = ControlSession(environment, queue: queue, parts: try parts(environment, queue))
        session.begin(now: clock.now())
    }

    /// Takes events until `condition` holds.
    func run(until condition: () throws -> Bool) async rethrows {
        while try !condition(), let event = await events.next() { session.handle(event, now: clock.now()) }
    }

    /// Takes events, and lets pauses pass, until every part has ended.
    func runToEnd() async {
        while !session.isOver {
            await runToPause()
            if !session.isOver { passTime() }
        }
    }

    /// Takes events until nothing is waited for but a pause before the next try.
    func runToPause() async { await run { session.isOver || isPausing } }

    private var isPausing: Bool {
        guard let pause = session.deadline.map({ $0 - clock.now() }) else { return false }
        return pause <= TransferDefaults.firstPause
            || [TransferDefaults.pauseAfterFault, TransferDefaults.pauseWhenLimited].contains(pause)
    }

    /// Something happens now.
    func handle(_ event: SessionEvent) { session.handle(event, now: clock.now()) }

    /// The time goes on to what is due next.
    func passTime() {
        guard let deadline = session.deadline else { return }
        clock.advance(to: deadline)
        session.handle(.timePassed, now: clock.now())
    }

    /// The time goes on by `amount`.
    func passTime(_ amount: TimeAmount) {
        clock.advance(to: clock.now() + amount)
        session.handle(.timePassed, now: clock.now())
    }

    /// The statuses that the parts have ended with.
    var endings: [SessionEnding?] { session.parts.map(\.ending) }

    /// Every line that was reported.
    func lines() throws -> [String] {
        var text = [UInt8](repeating: 0, count: 1 << 20)
        let count = try SystemError.check { unsafe pread(reports.descriptor, &text, text.count, 0) }
        return String(decoding: text.prefix(count), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// The names of the events that were reported, of those in `names`.
    func events(_ names: String...) throws -> [String] {
        try lines().compactMap { line in names.first { line.contains("\"event\":\"\($0)\"") } }
    }
}

/// A time that only the test moves.
final class ManualClock: SessionClock {
    private let time = Mutex(NIODeadline.uptimeNanoseconds(1_000_000_000_000))

    func now() -> NIODeadline { time.withLock { $0 } }
    func advance(to deadline: NIODeadline) { time.withLock { $0 = max($0, deadline) } }
    func wake(at _: NIODeadline, _: @escaping @Sendable () -> Void) -> @Sendable () -> Void { {} }
}

/// Names that the tests use.
enum Samples {
    static let alice = name("alice")
    static let bob = name("bob")

    private static func name(_ text: String) -> PeerName {
        PeerName(rawValue: text) ?? { preconditionFailure("a name") }()
    }
}

/// One control connection to a ``FakeRelay``.
final class FakeLine: ControlLine {
    let messages: ControlMessageHandler.Messages
    /// From 1.
    let number: Int
    private let queue: ControlMessageHandler.Messages.Continuation
    private let relay: FakeRelay
    private let ids = Mutex(UInt64(0))
    private let closed = Mutex(false)

    init(_ relay: FakeRelay, number: Int) {
        (messages, queue) = ControlMessageHandler.Messages.makeStream()
        self.relay = relay
        self.number = number
    }

    /// Whether this side has said goodbye.
    var isClosed: Bool { closed.withLock { $0 } }

    func post(_ message: ClientMessage) { relay.heard(message, on: self) }
    func nextID() -> RequestID {
        .sequence(
            .client,
            ids.withLock { last in
                last += 1
                return last
            })
    }

    func close() async {
        closed.withLock { $0 = true }
        abort()
    }

    func abort() { queue.finish() }
    func say(_ messages: [ServerMessage]) { for message in messages { queue.yield(message) } }
    func lose(_ error: ConnectionError) { queue.finish(throwing: error) }
}

/// A relay and another client in this process: a test says what is answered, and what becomes of each stream.
final class FakeRelay: ControlConnecting, DataStreams {
    /// One offer, as it came.
    struct Offered: Sendable {
        let offer: ClientMessage.Offer
        let line: FakeLine
        /// From 1.
        let number: Int

        var manifest: OfferPayload? { PayloadCoding.offer(offer.payload) }
    }

    /// One download that was begun: the test ends it.
    struct Downloading: Sendable {
        let request: DownloadRequest
        let end: @Sendable (Result<ContentSummary, ClientError>) -> Void
    }

    private struct State {
        var refusals: [ConnectionError] = []
        var pauses: [TimeAmount?] = []
        var lines: [FakeLine] = []
        var said: [ClientMessage] = []
        var offers: [Offered] = []
        var downloads: [Downloading] = []
        var uploads = 0
        var running = 0
        var mostRunning = 0
        var parked: [@Sendable () -> Void] = []
    }

    private struct Upload: ContentUpload {
        let cutAction: @Sendable () -> Void
        func cut() { cutAction() }
        func receiverProgressed() {}
    }

    /// How an upload ends.
    let uploadEnd: @Sendable (Int) -> StreamError?
    /// How many uploads wait for each other before they go on; the first goes alone.
    let together: Int
    private let answer: @Sendable (Offered) -> [ServerMessage]
    /// Whether the receiver says that it has what was sent.
    private let confirms: Bool
    private let state = Mutex(State())

    var lines: [FakeLine] { state.withLock { $0.lines } }
    var offers: [Offered] { state.withLock { $0.offers } }
    var said: [ClientMessage] { state.withLock { $0.said } }
    var downloads: [Downloading] { state.withLock { $0.downloads } }
    /// The pause before each connection.
    var pauses: [TimeAmount?] { state.withLock { $0.pauses } }
    var mostRunning: Int { state.withLock { $0.mostRunning } }
    var cancels: [ClientMessage.Cancel] {
        said.compactMap { if case .cancel(let cancel) = $0 { cancel } else { nil } }
    }

    /// How often a session asked to be rung.
    var presences: Int { said.count { if case .presence = $0 { true } else { false } } }
    /// The ids of the `accept` of each transfer.
    var accepts: [TransferID: RequestID] {
        var accepts: [TransferID: RequestID] = [:]
        for case .accept(let accept) in said { accepts[accept.transfer] = accept.id }
        return accepts
    }

    /// - Parameters:
    ///   - together: how many uploads wait for each other.
    ///   - answer: what the relay answers to an offer; ``acceptance(of:)`` has it accepted and delivered.
    ///   - confirms: whether the receiver says that it has what was sent.
    ///   - uploadEnd: what the upload of that number fails with; nil lets it succeed.
    init(
        together: Int = 1,
        answer: @escaping @Sendable (Offered) -> [ServerMessage] = FakeRelay.acceptance, confirms: Bool = true,
        uploadEnd: @escaping @Sendable (Int) -> StreamError? = { _ in nil }
    ) {
        self.together = together
        self.uploadEnd = uploadEnd
        self.confirms = confirms
        self.answer = answer
    }

    /// The next connection does not come about.
    func refuse(_ error: ConnectionError) { state.withLock { $0.refusals.append(error) } }

    /// The messages that lead to an upload.
    static func acceptance(of offered: Offered) -> [ServerMessage] {
        let (id, transfer) = (offered.offer.id, offered.offer.transfer)
        return [
            .offered(.init(id: id, transfer: transfer, state: .ringing)),
            .offered(.init(id: id, transfer: transfer, state: .accepted)),
            .start(
                .init(
                    id: id, transfer: transfer, role: .upload, token: .random(), url: "/upload", expires: 30,
                    payload: PayloadCoding.encode(AcceptPayload(offset: 0))
                )),
        ]
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

    func upload(
        _ job: SendJob, _ start: ServerMessage.Start, tell: @escaping @Sendable (UploadEvent) -> Void
    ) -> any ContentUpload {
        let isDone = Mutex(false)
        let summary = ContentSummary(size: job.source.size ?? 0, digest: [UInt8](repeating: 1, count: 32))
        let line = offers.last { $0.offer.transfer == start.transfer }?.line
        let finish: @Sendable (StreamError?) -> Void = { error in
            guard
                isDone.withLock({ isDone in
                    defer { isDone = true }
                    return !isDone
                })
            else { return }
            self.state.withLock { $0.running -= 1 }
            let end = error.map { SendMachine.UploadResult.broken($0.failure(as: .upload)) }
            tell(.ended(end ?? .finished, error.map(ClientError.stream)))
            tell(.stopped(error == nil ? summary : nil))
            guard error == nil, self.confirms, let payload = PayloadCoding.encode(DeliveredPayload(summary)) else {
                return
            }
            line?.say([.delivered(.init(id: start.id, transfer: start.transfer, payload: payload))])
        }
        let ready: [@Sendable () -> Void] = state.withLock { state in
            state.uploads += 1
            state.running += 1
            state.mostRunning = max(state.mostRunning, state.running)
            let end = uploadEnd(state.uploads)
            state.parked.append { finish(end) }
            guard state.parked.count >= together || state.uploads == 1 else { return [] }
            defer { state.parked = [] }
            return state.parked
        }
        Task {
            tell(.streaming)
            for each in ready { each() }
        }
        return Upload { finish(.cut) }
    }

    func download(_ request: DownloadRequest, tell: @escaping @Sendable (DownloadEvent) -> Void) -> Task<Void, Never> {
        state.withLock { $0.downloads.append(Downloading(request: request) { tell(.ended($0)) }) }
        return Task {}
    }

    fileprivate func heard(_ message: ClientMessage, on line: FakeLine) {
        let offered: Offered? = state.withLock { state in
            state.said.append(message)
            guard case .offer(let offer) = message else { return nil }
            let offered = Offered(offer: offer, line: line, number: state.offers.count + 1)
            state.offers.append(offered)
            return offered
        }
        if let offered { line.say(answer(offered)) }
        if case .presence(let presence) = message { line.say([.ok(.init(id: presence.id))]) }
    }
}

/// A receiver over a session with doubles, and offers that come to it.
struct ReceivingFixture {
    let session: SessionFixture
    let folder: ReceivedFolder
    /// What the person was asked about.
    let asked = Asked()
    private let sender = SigningKey.random()
    private let exchange = ExchangeKey.random()
    private let identity = OfferIdentity.random()

    var relay: FakeRelay { session.relay }

    /// The questions, and the answers to them.
    final class Asked: Sendable {
        private let state = Mutex((labels: [TransferLabel](), answer: true))

        var labels: [TransferLabel] { state.withLock { $0.labels } }
        func answer(_ answer: Bool) { state.withLock { $0.answer = answer } }
        fileprivate func ask(_ label: TransferLabel) -> Bool {
            state.withLock { state in
                state.labels.append(label)
                return state.answer
            }
        }
    }

    init(isOnce: Bool = false, isTrusting: Bool = false, maximumSize: UInt64? = nil, command: String? = nil) throws {
        let folder = try ReceivedFolder()
        let asked = asked
        self.folder = folder
        session = try SessionFixture { environment, queue in
            let policy = ReceivePolicy(isTrusting: isTrusting, maximumSize: maximumSize)
            let settings = ReceiveSettings(
                policy: policy, output: .folder(folder.directory), isOnce: isOnce, command: command
            )
            return [Receiver(settings, ask: { asked.ask($0) }, environment: environment, queue: queue)]
        }
    }

    /// Takes events until the relay rings this session on its newest connection, which is the `count`th.
    func present(_ count: Int = 1) async {
        await session.run { relay.lines.count == count && relay.presences == count }
        await session.run { isPresent }
    }

    private var isPresent: Bool { session.session.deadline.map { $0 > session.clock.now() + .seconds(30) } ?? true }

    /// Offers something on the newest connection.
    func ring(_ name: String = "file", size: UInt64? = 7, isKnown: Bool = true) throws -> TransferID {
        let transfer = TransferID.random()
        let offer = OfferPayload(name: name, size: size, attempt: isKnown ? identity : .random())
        let payload = try #require(PayloadCoding.encode(offer))
        ring(transfer, payload)
        return transfer
    }

    /// Offers `payload` on the newest connection.
    func ring(_ transfer: TransferID, _ payload: Payload) {
        relay.lines.last?.say([
            .ring(
                .init(
                    id: .sequence(.relay, 7), transfer: transfer, from: Samples.alice, key: sender,
                    exchangeKey: exchange, payload: payload
                ))
        ])
    }

    /// Takes events until `transfer` is accepted, and gives it its token.
    func start(_ transfer: TransferID) async throws {
        let id = try await acceptance(of: transfer)
        let start = ServerMessage.Start(
            id: id, transfer: transfer, role: .download, token: .random(), url: "/download", expires: 60, payload: nil
        )
        let count = relay.downloads.count
        relay.lines.last?.say([.start(start)])
        await session.run { relay.downloads.count > count || session.session.isOver }
    }

    /// Takes events until `transfer` is accepted. Returns the id of the `accept`.
    func acceptance(of transfer: TransferID) async throws -> RequestID {
        await session.run { relay.accepts[transfer] != nil }
        return try #require(relay.accepts[transfer])
    }
}
