// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

@testable import RelayClientProgram
@testable import TransferClient

@Suite(.timeLimit(.minutes(5))) struct InterruptSignalTests {
    /// What was done, in order.
    private final class Done: Sendable {
        private let list = Mutex<[Int]>([])
        var all: [Int] { list.withLock { $0 } }
        func add(_ number: Int) { list.withLock { $0.append(number) } }
    }

    @Test func actionsRunOnceInTheOrderOfRegistration() {
        let (interrupt, done) = (InterruptSignal(), Done())
        for number in 1...3 { interrupt.whenInterrupted { done.add(number) } }
        #expect(!interrupt.isInterrupted && done.all.isEmpty)
        interrupt.interrupt()
        interrupt.interrupt()
        #expect(interrupt.isInterrupted && done.all == [1, 2, 3])
    }

    @Test func aLateRegistrationIsToldAtOnceAndAForgottenOneNever() {
        let (interrupt, done) = (InterruptSignal(), Done())
        let registration = interrupt.whenInterrupted { done.add(1) }
        interrupt.forget(registration)
        interrupt.interrupt()
        #expect(done.all.isEmpty)
        interrupt.whenInterrupted { done.add(2) }
        #expect(done.all == [2])
    }

    @Test func anOperationThatEndsGivesItsResult() async throws {
        let interrupt = InterruptSignal()
        #expect(try await interrupt.bounded { () throws(ClientError) in 7 } == 7)
        await #expect(throws: ClientError.command("no", .usage)) {
            try await interrupt.bounded { () throws(ClientError) in throw .command("no", .usage) }
        }
    }

    @Test func anInterruptEndsTheWaitAndCancelsTheWork() async {
        let (interrupt, done) = (InterruptSignal(), Done())
        let (cancelled, continuation) = AsyncStream<Void>.makeStream()
        await #expect(throws: ClientError.interrupted) {
            try await interrupt.bounded { () async throws(ClientError) in
                await withTaskCancellationHandler {
                    interrupt.interrupt()
                    for await _ in cancelled {}
                } onCancel: {
                    done.add(1)
                    continuation.finish()
                }
            }
        }
        for await _ in cancelled {}
        #expect(done.all == [1])
    }

    @Test func noOperationBeginsAfterAnInterrupt() async {
        let interrupt = InterruptSignal()
        interrupt.interrupt()
        await #expect(throws: ClientError.interrupted) {
            try await interrupt.bounded { () async throws(ClientError) in
                for await _ in AsyncStream<Void>(unfolding: { nil }) {}
                throw .interrupted
            }
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct BlockingWorkTests {
    private struct Foreign: Error {}

    @Test func resultsAndErrorsComeBack() async throws {
        #expect(try await BlockingWork.files.run { 7 } == 7)
        let full = FileError(code: .noSpace, message: "full")
        await #expect(throws: ClientError.file(full)) { try await BlockingWork.files.run { throw full } }
        await #expect(throws: ClientError.self) { try await BlockingWork.files.run { throw Foreign() } }
        #expect(try await BlockingWork.files.runAbandonable { 8 } == 8)
        await #expect(throws: ClientError.file(full)) { try await BlockingWork.files.runAbandonable { throw full } }
    }

    @Test func workThatIsGivenUpIsNotWaitedFor() async {
        let (began, continuation) = AsyncStream<Void>.makeStream()
        let gate = Mutex(false)
        let task = Task {
            try await BlockingWork.commands.runAbandonable {
                continuation.finish()
                while !gate.withLock({ $0 }) {}
            }
        }
        for await _ in began {}
        task.cancel()
        await #expect(throws: ClientError.interrupted) { try await task.value }
        gate.withLock { $0 = true }
    }

    @Test func workThatWasGivenUpBeforeDoesNotBegin() async {
        let ran = Mutex(false)
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            try await BlockingWork.files.runAbandonable { ran.withLock { $0 = true } }
        }
        task.cancel()
        await #expect(throws: ClientError.interrupted) { try await task.value }
        #expect(!ran.withLock { $0 })
    }
}
