// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Synchronization
import TransferClient

/// Whether the person wants the program to stop, and who has to be told.
final class InterruptSignal: Sendable {
    private let state = Mutex(State())

    private struct State {
        var isInterrupted = false
        var actions: [UInt64: @Sendable () -> Void] = [:]
        var lastID: UInt64 = 0
    }

    /// What was registered, to be taken back with ``forget(_:)``.
    struct Registration: Hashable, Sendable {
        fileprivate let id: UInt64
    }

    /// Whether it has happened.
    var isInterrupted: Bool { state.withLock { $0.isInterrupted } }

    /// Runs `action` when it happens, or now if it has.
    @discardableResult
    func whenInterrupted(_ action: @escaping @Sendable () -> Void) -> Registration {
        let (registration, isLate) = state.withLock { state in
            state.lastID += 1
            if !state.isInterrupted { state.actions[state.lastID] = action }
            return (Registration(id: state.lastID), state.isInterrupted)
        }
        if isLate { action() }
        return registration
    }

    /// Does not run that action any more. A caller that registers repeatedly has to forget each registration.
    func forget(_ registration: Registration) {
        _ = state.withLock { state in state.actions.removeValue(forKey: registration.id) }
    }

    /// It happens. Only the first time counts.
    func interrupt() {
        let actions = state.withLock { state in
            state.isInterrupted = true
            defer { state.actions = [:] }
            return state.actions
        }
        for id in actions.keys.sorted() { actions[id]?() }
    }

    /// The result of `operation`, or `interrupted` as soon as the person interrupts or the calling task is cancelled:
    /// then `operation` is cancelled, and what cannot be cancelled is left behind.
    ///
    /// - Parameter executor: where `operation` runs; nil leaves that open.
    func bounded<Value: Sendable>(
        on executor: (any TaskExecutor)? = nil, _ operation: @escaping @Sendable () async throws(ClientError) -> Value
    ) async throws(ClientError) -> Value {
        let (results, continuation) = AsyncStream<Result<Value, ClientError>>.makeStream()
        let task = Task(executorPreference: executor) {
            do throws(ClientError) {
                continuation.yield(.success(try await operation()))
            } catch {
                continuation.yield(.failure(error))
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        let registration = whenInterrupted { continuation.finish() }
        defer {
            forget(registration)
            // The caller may end the process: whatever cancelling puts right is put right before.
            task.cancel()
        }
        for await result in results { return try result.get() }
        throw .interrupted
    }
}

/// Turns the first SIGINT, SIGTERM or SIGHUP into an interrupt. The second one ends the process as usual. A signal that
/// the parent process has set to be ignored (`nohup`, a script's background job) stays ignored.
struct Signals {
    private let sources: [any DispatchSourceSignal]

    init(_ interrupt: InterruptSignal) {
        let ignored = InheritedSignals.ignored
        let registered = DispatchGroup()
        sources = [SIGINT, SIGTERM, SIGHUP].filter { number in !ignored.contains(number) }.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                signal(number, SIG_DFL)
                interrupt.interrupt()
            }
            registered.enter()
            source.setRegistrationHandler { registered.leave() }
            source.resume()
            return source
        }
        // They begin to listen later, and what comes before that would be lost.
        registered.wait()
        // A limit on file sizes (`ulimit -f`) is an error of the write, and not the end of the process.
        signal(SIGXFSZ, SIG_IGN)
    }

    /// Stops listening.
    func stop() {
        for source in sources { source.cancel() }
    }
}

/// What the parent process has set for the signals that this process handles in its own way. To be read before any of
/// that is changed.
enum InheritedSignals {
    /// Signals that this process treats in its own way at one time or another.
    private static let ours = [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ]

    /// Signals of ``ours`` that were ignored from the start: by `nohup`, or for a script's job in the background.
    static let ignored = Set(ours.filter(isIgnored))

    /// Signals that a program started from here has to find as ever.
    static var toRestore: [Int32] { ours.filter { number in !ignored.contains(number) } }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard unsafe sigaction(number, nil, &action) == 0 else { return false }
        return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }
}
