// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Whether the person wants the program to stop, and who has to be told.
final class Interruption: Sendable {
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

    /// Does not run that action any more. Whoever registers again and again forgets again and again.
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

    /// The result of `operation`, or `CancellationError` as soon as the person interrupts or the calling task is
    /// cancelled: then `operation` is cancelled, and what cannot be cancelled is left behind.
    ///
    /// - Parameter executor: where `operation` runs; nil leaves that open.
    func bounded<Value: Sendable>(
        on executor: (any TaskExecutor)? = nil, _ operation: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let (results, continuation) = AsyncThrowingStream<Value, any Error>.makeStream()
        let task = Task(executorPreference: executor) {
            do {
                continuation.yield(try await operation())
            } catch {
                continuation.finish(throwing: error)
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        let registration = whenInterrupted { continuation.finish(throwing: CancellationError()) }
        defer {
            forget(registration)
            // The caller may end the process: whatever cancelling puts right is put right before.
            task.cancel()
        }
        for try await value in results { return value }
        throw CancellationError()
    }
}
