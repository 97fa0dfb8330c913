// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Sealing
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
    /// The time of day, in milliseconds since 1970; it stands still, too.
    let day = ManualDay()
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
        let sealing = SealingParty.fresh(in: folder.file("profile")) { [day] in day.now }
        relay.client(try #require(sealing.party))
        environment = SessionEnvironment(
            relay: try RelayURL("https://relay.example.com"), sealing: sealing,
            records: TransferRecords(folder.file("profile")), connector: relay, streams: relay, clock: clock,
            reporter: Reporter(mode: .json, output: reports.descriptor, errors: reports.descriptor),
            interrupt: InterruptSignal(), executor: nil
        )
        events = queue.events.makeAsyncIterator()
        session = ControlSession(environment, queue: queue, parts: try parts(environment, queue))
        session.begin(now: clock.now())
    }

    /// A task that reads from a line that is not ended would wait for ever.
    deinit { for line in relay.lines { line.abort() } }

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

    /// Whether something is waited for that is due before long.
    var isDue: Bool { session.deadline.map { $0 - clock.now() < .minutes(30) } ?? false }

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

/// A time of day that only the test moves.
final class ManualDay: Sendable {
    private let time = Mutex(Samples.now)

    var now: UInt64 { time.withLock { $0 } }
    func advance(by milliseconds: UInt64) { time.withLock { $0 += milliseconds } }
}

/// A time that only the test moves.
final class ManualClock: SessionClock {
    private let time = Mutex(NIODeadline.uptimeNanoseconds(1_000_000_000_000))

    func now() -> NIODeadline { time.withLock { $0 } }
    func advance(to deadline: NIODeadline) { time.withLock { $0 = max($0, deadline) } }
    func wake(at _: NIODeadline, _: @escaping @Sendable () -> Void) -> @Sendable () -> Void { {} }
}

/// One control connection to a ``FakeRelay``.
final class FakeLine: ControlLine {
    let messages: ControlMessageHandler.Messages
    /// From 1.
    let number: Int
    private let queue: ControlMessageHandler.Messages.Continuation
    /// It keeps this line.
    private unowned let relay: FakeRelay
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
