// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport

/// What happened, in order. A test waits for an entry; an entry is found once only.
final class Journal<Entry: Sendable>: Sendable {
    private struct Waiter: Sendable {
        let fits: @Sendable (Entry) -> Bool
        let promise: EventLoopPromise<Entry>
    }

    private struct State {
        var entries: [Entry] = []
        var waiter: Waiter?
    }

    private let state = Mutex(State())

    /// All entries that no test has found.
    var all: [Entry] { state.withLock { $0.entries } }

    func append(_ entry: Entry) {
        let waiter = state.withLock { state -> Waiter? in
            if let waiter = state.waiter, waiter.fits(entry) {
                state.waiter = nil
                state.entries.removeAll()
                return waiter
            }
            state.entries.append(entry)
            return nil
        }
        waiter?.promise.succeed(entry)
    }

    /// The first entry that fits and was not found before. What came before it is forgotten.
    func next(_ what: String = "", where fits: @escaping @Sendable (Entry) -> Bool = { _ in true }) async throws
        -> Entry
    {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: Entry.self)
        let found = state.withLock { state -> Entry? in
            guard let index = state.entries.firstIndex(where: fits) else {
                state.waiter = Waiter(fits: fits, promise: promise)
                return nil
            }
            defer { state.entries.removeFirst(index + 1) }
            return state.entries[index]
        }
        if let found { promise.succeed(found) }
        let limit = loop.scheduleTask(in: .seconds(30)) {
            let seen = self.state.withLock { "\($0.entries)" }
            promise.fail(InVain(description: "waited in vain for \(what); there was \(seen)"))
        }
        defer { limit.cancel() }
        return try await promise.futureResult.get()
    }
}

/// Keeps what is logged: level, message and metadata, each event a line.
struct LineRecorder: LogHandler {
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]
    private let lines: Journal<String>

    init(_ lines: Journal<String>) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
}
