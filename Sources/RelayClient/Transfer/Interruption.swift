// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Whether the person wants the program to stop, and who has to be told.
final class Interruption: Sendable {
    private let state = Mutex(State())

    private struct State {
        var isInterrupted = false
        var actions: [@Sendable () -> Void] = []
    }

    /// Whether it has happened.
    var isInterrupted: Bool { state.withLock { $0.isInterrupted } }

    /// Runs `action` when it happens, or now if it has.
    func whenInterrupted(_ action: @escaping @Sendable () -> Void) {
        let isLate = state.withLock { state in
            if !state.isInterrupted { state.actions.append(action) }
            return state.isInterrupted
        }
        if isLate { action() }
    }

    /// It happens. Only the first time counts.
    func interrupt() {
        let actions = state.withLock { state in
            state.isInterrupted = true
            defer { state.actions = [] }
            return state.actions
        }
        for action in actions { action() }
    }

    /// The result of `operation`, or `CancellationError` as soon as the person interrupts: what cannot be cancelled is
    /// left behind.
    func bounded<Value: Sendable>(_ operation: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let (results, continuation) = AsyncThrowingStream<Value, any Error>.makeStream()
        let task = Task {
            do {
                continuation.yield(try await operation())
            } catch {
                continuation.finish(throwing: error)
            }
        }
        whenInterrupted {
            task.cancel()
            continuation.finish(throwing: CancellationError())
        }
        for try await value in results { return value }
        throw CancellationError()
    }
}
