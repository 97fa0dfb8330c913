// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization
import TransferClient

/// Threads for calls that block, so that neither an event loop nor Swift's own few threads ever wait for a disk, a
/// pipe or a person.
struct BlockingWork: Sendable {
    private let pool: NIOThreadPool

    /// For reading and writing files.
    static let files = BlockingWork(threads: Defaults.fileThreads, name: "file-")
    /// For standard input, which may block for ever.
    static let input = BlockingWork(threads: 1, name: "stdin-")
    /// For standard output, which may block for ever.
    static let output = BlockingWork(threads: 1, name: "stdout-")
    /// For questions to the person; one thread, because two questions at once cannot be answered.
    static let questions = BlockingWork(threads: 1, name: "tty-")
    /// For drawing on a terminal that nothing was reported for, which may be stopped.
    static let terminal = BlockingWork(threads: 1, name: "draw-")

    /// For the commands of `--exec`, one after the other.
    static let commands = BlockingWork(threads: 1, name: "exec-")

    /// Others than those above are for tests only: the threads never end.
    init(threads: Int, name: String) {
        pool = NIOThreadPool._makePerpetualStartedPool(numberOfThreads: threads, threadNamePrefix: name)
    }

    /// Runs `body` at some time; no caller waits for it.
    func start(_ body: @escaping @Sendable () -> Void) {
        pool.submit { _ in body() }
    }

    /// Runs `body` to its end, also when the calling task is cancelled.
    func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws(ClientError) -> Value {
        try await run { _ in try body() }
    }

    /// Runs `body`, which is given the thread, to its end, also when the calling task is cancelled.
    func run<Value: Sendable>(
        _ body: @escaping @Sendable (BlockingThread) throws -> Value
    ) async throws(ClientError) -> Value {
        try await withCheckedContinuation { continuation in
            pool.submit { _ in continuation.resume(returning: Self.result(of: body)) }
        }.get()
    }

    /// Runs `body`, but stops waiting for it when the calling task is cancelled (`interrupted`); it then ends unheard,
    /// whenever it can.
    func runAbandonable<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws(ClientError) -> Value {
        try await runAbandonable { _ in try body() }
    }

    /// Runs `body`, which is given the thread, but stops waiting for it when the calling task is cancelled.
    func runAbandonable<Value: Sendable>(
        _ body: @escaping @Sendable (BlockingThread) throws -> Value
    ) async throws(ClientError) -> Value {
        let waiter = Waiter<Value>()
        return try await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard waiter.wait(continuation) else { return }
                pool.submit { _ in
                    guard waiter.isWaiting else { return }
                    waiter.resolve(Self.result(of: body))
                }
            }
        } onCancel: {
            waiter.resolve(.failure(.interrupted))
        }.get()
    }

    private static func result<Value>(of body: (BlockingThread) throws -> Value) -> Result<Value, ClientError> {
        Result { try body(BlockingThread()) }.mapError { ClientError($0) }
    }

    /// The caller that waits for one piece of work: told once, by the work or by the cancellation.
    private final class Waiter<Value: Sendable>: Sendable {
        private enum State {
            case new
            case waiting(CheckedContinuation<Result<Value, ClientError>, Never>)
            case cancelledEarly
            case told
        }

        private let state = Mutex(State.new)

        /// Whether the result is still wanted.
        var isWaiting: Bool {
            state.withLock { state in
                if case .waiting = state { true } else { false }
            }
        }

        /// Begins to wait; false when the task was cancelled before, which `continuation` has been told.
        func wait(_ continuation: CheckedContinuation<Result<Value, ClientError>, Never>) -> Bool {
            let begins = state.withLock { state in
                switch state {
                case .new:
                    state = .waiting(continuation)
                    return true
                case .waiting, .cancelledEarly, .told:
                    state = .told
                    return false
                }
            }
            if !begins { continuation.resume(returning: .failure(.interrupted)) }
            return begins
        }

        /// Tells `result`, unless something else was told before.
        func resolve(_ result: Result<Value, ClientError>) {
            let continuation: CheckedContinuation<Result<Value, ClientError>, Never>? = state.withLock { state in
                switch state {
                case .new:
                    state = .cancelledEarly
                    return nil
                case .waiting(let continuation):
                    state = .told
                    return continuation
                case .cancelledEarly, .told:
                    return nil
                }
            }
            continuation?.resume(returning: result)
        }
    }
}

/// Shows that its holder runs on a thread of ``BlockingWork``, which alone makes one: what asks for it, as the sealing
/// and opening of chunks does, cannot be called on an event loop. It stays on its thread.
struct BlockingThread {}

@available(*, unavailable)
extension BlockingThread: Sendable {}

/// Runs tasks on one event loop, for those that are little more than what a channel of that loop says and hears:
/// nothing then has to wake a thread for each step. Such a task must not block: blocking calls go through
/// ``BlockingWork``.
final class EventLoopExecutor: TaskExecutor {
    let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
