// SPDX-License-Identifier: Apache-2.0

package import Foundation
private import Synchronization

/// Another program, run by a test. Every wait has a deadline, after which the program is killed and the test fails with
/// what it said. It is killed at the latest when this object goes away.
package final class ChildProcess: Sendable {
    /// Why a wait was in vain.
    package struct Failure: Error, CustomStringConvertible {
        /// What was waited for, and what the program said instead.
        package let description: String
    }

    private enum Wish {
        case text(String)
        case exit
    }

    private struct Waiter {
        let wish: Wish
        let resume: @Sendable (Result<Void, Failure>) -> Void
    }

    private struct State {
        var output = Data()
        var errors = Data()
        var openPipes = 2
        var status: Int32?
        var waiters: [Int: Waiter] = [:]
        var nextWaiter = 0

        var hasEnded: Bool { status != nil && openPipes == 0 }
        var text: String { String(decoding: output, as: UTF8.self) + String(decoding: errors, as: UTF8.self) }

        /// Takes out the waiters that can go on.
        mutating func ready() -> [(Waiter, Result<Void, Failure>)] {
            var ready: [(Waiter, Result<Void, Failure>)] = []
            for (id, waiter) in waiters {
                switch waiter.wish {
                case .text(let wanted) where text.contains(wanted): ready.append((waiter, .success(())))
                case .text(let wanted) where hasEnded:
                    ready.append((waiter, .failure(Failure(description: "ended without saying '\(wanted)': \(text)"))))
                case .exit where hasEnded: ready.append((waiter, .success(())))
                case .text, .exit: continue
                }
                waiters[id] = nil
            }
            return ready
        }
    }

    private let process: Process
    private let input: FileHandle
    private let state = Shared()

    /// The part that callbacks keep alive after the object itself has gone.
    private final class Shared: Sendable {
        let state = Mutex(State())

        func change(_ body: (inout State) -> Void) {
            let ready = state.withLock { state in
                body(&state)
                return state.ready()
            }
            for (waiter, result) in ready { waiter.resume(result) }
        }
    }

    /// Starts `program` (looked up in PATH, or a path).
    ///
    /// - Parameters:
    ///   - environment: variables added to the test's own.
    ///   - directory: where it runs; the test's own directory if nil.
    package init(
        _ program: String, _ arguments: [String] = [], environment: [String: String] = [:], directory: String? = nil
    ) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory, isDirectory: true) }
        // A program started at the same time by another test must not inherit the pipes: nobody would see their end.
        let pipes = Self.starting.withLock { _ in [Pipe(), Pipe(), Pipe()].map(Self.closedInChildren) }
        let (input, output, errors) = (pipes[0], pipes[1], pipes[2])
        process.standardInput = input
        process.standardOutput = output
        process.standardError = errors
        self.process = process
        self.input = input.fileHandleForWriting
        let shared = state
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty { handle.readabilityHandler = nil }
            shared.change { if data.isEmpty { $0.openPipes -= 1 } else { $0.output += data } }
        }
        errors.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty { handle.readabilityHandler = nil }
            shared.change { if data.isEmpty { $0.openPipes -= 1 } else { $0.errors += data } }
        }
        process.terminationHandler = { ended in shared.change { $0.status = ended.terminationStatus } }
        try Self.starting.withLock { _ in try process.run() }
    }

    /// Held while pipes are made and while a program is started.
    private static let starting = Mutex(())

    private static func closedInChildren(_ pipe: Pipe) -> Pipe {
        for handle in [pipe.fileHandleForReading, pipe.fileHandleForWriting] {
            _ = fcntl(handle.fileDescriptor, F_SETFD, FD_CLOEXEC)
        }
        return pipe
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        try? input.close()
    }

    /// The number the system knows the program by.
    package var processID: Int32 { process.processIdentifier }

    /// What it wrote to standard output so far.
    package var output: String { state.state.withLock { String(decoding: $0.output, as: UTF8.self) } }

    /// The same, as bytes.
    package var outputData: Data { state.state.withLock { $0.output } }

    /// What it wrote to standard error so far.
    package var errors: String { state.state.withLock { String(decoding: $0.errors, as: UTF8.self) } }

    /// Writes to its standard input.
    package func send(_ text: String) throws { try input.write(contentsOf: Data(text.utf8)) }

    /// Ends its standard input.
    package func closeInput() throws { try input.close() }

    /// Sends it a signal.
    package func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits until it has written `text` to either output.
    package func wait(for text: String, seconds: Double = 20) async throws {
        try await wait(.text(text), seconds, "to say '\(text)'")
    }

    /// Waits until it has ended and all it wrote is here.
    ///
    /// - Returns: its exit status, or the number of the signal that ended it.
    @discardableResult
    package func exitStatus(seconds: Double = 20) async throws -> Int32 {
        try await wait(.exit, seconds, "to end")
        return state.state.withLock { $0.status ?? -1 }
    }

    private func wait(_ wish: Wish, _ seconds: Double, _ words: String) async throws {
        let shared = state
        let identifier = process.processIdentifier
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            let resume: @Sendable (Result<Void, Failure>) -> Void = {
                continuation.resume(with: $0.mapError { $0 as any Error })
            }
            let id = Mutex(0)
            shared.change { state in
                id.withLock { $0 = state.nextWaiter }
                state.waiters[state.nextWaiter] = Waiter(wish: wish, resume: resume)
                state.nextWaiter += 1
            }
            let number = id.withLock { $0 }
            DispatchQueue.global().asyncAfter(deadline: .now() + seconds) {
                let late = shared.state.withLock { state in
                    (state.waiters.removeValue(forKey: number), state.text)
                }
                guard let waiter = late.0 else { return }
                kill(identifier, SIGKILL)
                waiter.resume(.failure(Failure(description: "waited \(seconds) s in vain for it \(words): \(late.1)")))
            }
        }
    }

    /// As `run`, for tests that must stay on their thread: blocks it. For short programs only.
    package static func runBlocking(
        _ program: String, _ arguments: [String] = [], seconds: Double = 60
    ) throws -> (status: Int32, output: String, errors: String) {
        let child = try ChildProcess(program, arguments)
        try child.closeInput()
        let ended = DispatchSemaphore(value: 0)
        child.state.change { $0.waiters[-1] = Waiter(wish: .exit, resume: { _ in ended.signal() }) }
        guard ended.wait(timeout: .now() + seconds) == .success else {
            throw Failure(description: "\(program) did not end within \(seconds) s: \(child.output)\(child.errors)")
        }
        return (child.state.state.withLock { $0.status ?? -1 }, child.output, child.errors)
    }

    /// Runs a program to its end.
    ///
    /// - Returns: its exit status, and what it wrote to standard output and to standard error.
    package static func run(
        _ program: String, _ arguments: [String] = [], environment: [String: String] = [:], directory: String? = nil,
        seconds: Double = 60
    ) async throws -> (status: Int32, output: String, errors: String) {
        let child = try ChildProcess(program, arguments, environment: environment, directory: directory)
        try child.closeInput()
        let status = try await child.exitStatus(seconds: seconds)
        return (status, child.output, child.errors)
    }
}
