// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import PrivateFiles
import Synchronization
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import TransferClient

@Suite(.timeLimit(.minutes(5))) final class SharedInputTests: Sendable {
    private let clock = ManualClock()
    private let reading: OpenFile
    private let writing: Mutex<OpenFile?>

    init() throws {
        var ends: [Int32] = [0, 0]
        try SystemError.check { unsafe Glibc.pipe(&ends) }
        for end in ends { try SystemError.check { fcntl(end, F_SETFD, FD_CLOEXEC) } }
        reading = OpenFile(descriptor: ends[0])
        writing = Mutex(OpenFile(descriptor: ends[1]))
    }

    private func pipes(_ count: Int, window: UInt64 = 100) -> (SharedInput, [SourcePipe]) {
        let input = SharedInput(
            descriptor: reading.descriptor, window: window, reserve: 0, patience: .seconds(60), clock: clock,
            work: BlockingWork(threads: 1, name: "test-"))
        return (input, (0..<count).map { SourcePipe(input, branch: $0) })
    }

    private func write(_ bytes: [UInt8]) throws {
        let descriptor = try #require(writing.withLock { $0?.descriptor })
        try unsafe bytes.withUnsafeBytes { try unsafe SystemError.writeAll($0, to: descriptor) }
    }

    /// Takes what there is, as soon as there is something.
    private func take(_ pipe: SourcePipe, atMost length: Int = 1_000) async throws -> [UInt8] {
        await pipe.ready()
        var buffer = ByteBuffer()
        _ = try pipe.read(length, into: &buffer)
        return Array(buffer.readableBytesView)
    }

    private func take(_ pipe: SourcePipe, all count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count { bytes += try await take(pipe, atMost: count - bytes.count) }
        return bytes
    }

    @Test func eachGetsAllOfItInPiecesOfItsOwn() async throws {
        let (_, pipes) = pipes(3)
        #expect(pipes.allSatisfy { $0.isShared && $0.isEmpty && !$0.hasBegun })
        let bytes = (0..<90).map { UInt8($0) }
        try write(bytes)
        for (pipe, length) in zip(pipes, [1, 7, 1_000]) {
            var taken: [UInt8] = []
            while taken.count < 90 { taken += try await take(pipe, atMost: length) }
            #expect(taken == bytes && pipe.hasBegun && !pipe.hasEnded && pipe.isEmpty)
        }
        writing.withLock { $0 = nil }
        for pipe in pipes {
            #expect(try await take(pipe).isEmpty)
            #expect(pipe.hasEnded && !pipe.isEmpty)
        }
    }

    @Test func theFastestIsAheadByNoMoreThanTheWindow() async throws {
        let (_, pipes) = pipes(2)
        let bytes = (0..<250).map { UInt8($0) }
        try write(bytes)
        #expect(try await take(pipes[0], all: 100) == Array(bytes[..<100]))
        #expect(pipes[0].isEmpty)
        // What the slowest has taken is room for the fastest.
        #expect(try await take(pipes[1], all: 30) == Array(bytes[..<30]))
        #expect(try await take(pipes[0], all: 30) == Array(bytes[100..<130]))
        #expect(pipes[0].isEmpty)
    }

    /// A relay takes a stream that brings nothing for half a minute for one that has stopped.
    @Test func whoWaitsForTheSlowestGetsAPieceNowAndThen() async throws {
        let folder = try TemporaryDirectory()
        let bytes = (0..<400 * 1024).map { UInt8(truncatingIfNeeded: $0 / 7) }
        try folder.write(Data(bytes), to: "input")
        let file = try OpenFile(folder.file("input"), flags: O_RDONLY)
        let clock = WakingClock()
        let input = SharedInput(
            descriptor: file.descriptor, window: 328 * 1024, reserve: 256 * 1024, patience: .seconds(60), clock: clock,
            work: BlockingWork(threads: 1, name: "test-"))
        let pipes = (0..<2).map { SourcePipe(input, branch: $0) }
        var taken = try await take(pipes[0], all: 72 * 1024)
        #expect(pipes[0].isEmpty)
        try await eventually("all is read that may be") { lseek(file.descriptor, 0, SEEK_CUR) == 328 * 1024 }
        for _ in 0..<4 {
            async let piece = take(pipes[0], atMost: 100_000)
            try await eventually("someone waits") { input.isHeld }
            clock.advance(to: clock.now() + .seconds(10))
            let next = try await piece
            #expect(next.count == Defaults.sharedPiece && pipes[0].isEmpty)
            taken += next
        }
        // All that while the slowest was waited for.
        let dropped = Mutex(false)
        pipes[1].whenDropped { dropped.withLock { $0 = true } }
        clock.advance(to: clock.now() + .seconds(19))
        input.timePassed()
        #expect(!dropped.withLock { $0 })
        clock.advance(to: clock.now() + .seconds(1))
        // The clock wakes it elsewhere.
        try await eventually("the slowest is dropped") { dropped.withLock { $0 } }
        taken += try await take(pipes[0], all: bytes.count - taken.count)
        #expect(taken == bytes)
    }

    @Test func oneThatGoesIsNotWaitedFor() async throws {
        let (_, pipes) = pipes(2)
        try write([UInt8](repeating: 1, count: 150))
        _ = try await take(pipes[0], all: 100)
        async let rest = take(pipes[0], all: 50)
        pipes[1].close()
        #expect(try await rest.count == 50)
        var buffer = ByteBuffer()
        #expect(throws: SystemError.self) { try pipes[1].read(1, into: &buffer) }
    }

    @Test func oneThatTakesNothingForAMinuteIsDropped() async throws {
        let (input, pipes) = pipes(3)
        let dropped = Mutex<[Int]>([])
        for (number, pipe) in pipes.enumerated() { pipe.whenDropped { dropped.withLock { $0.append(number) } } }
        try write([UInt8](repeating: 1, count: 150))
        for pipe in pipes.prefix(2) { _ = try await take(pipe, all: 100) }
        async let watched = pipes[2].dropped()
        async let rest = take(pipes[0], all: 50)
        // Until someone waits, no time counts.
        try await eventually("someone waits") { input.isHeld }
        clock.advance(to: clock.now() + .seconds(59))
        input.timePassed()
        #expect(dropped.withLock(\.self).isEmpty)
        // Its receiver gets further, so it has another minute.
        pipes[2].moved()
        clock.advance(to: clock.now() + .seconds(59))
        input.timePassed()
        #expect(dropped.withLock(\.self).isEmpty)
        clock.advance(to: clock.now() + .seconds(1))
        input.timePassed()
        #expect(dropped.withLock(\.self) == [2])
        #expect(await watched)
        #expect(try await rest.count == 50)
        #expect(try await take(pipes[1], all: 50).count == 50)
        var buffer = ByteBuffer()
        #expect(throws: SystemError.self) { try pipes[2].read(1, into: &buffer) }
    }

    @Test func aWaitThatIsCancelledEnds() async throws {
        let (_, pipes) = pipes(1)
        let ready = Task { await pipes[0].ready() }
        let dropped = Task { await pipes[0].dropped() }
        ready.cancel()
        dropped.cancel()
        await ready.value
        #expect(await dropped.value == false)
        try write([1])
        #expect(try await take(pipes[0]) == [1])
    }

    @Test func whatOneHasNotBegunItCanBeginAgain() async throws {
        let (_, pipes) = pipes(2)
        try write([1, 2, 3])
        _ = try await take(pipes[0])
        let trees = try pipes.map { try SourceTree.standardInput(name: "stdin", pipe: $0) }
        #expect(!trees[0].isRepeatable && trees[1].isRepeatable)
        trees[1].close()
        var buffer = ByteBuffer()
        #expect(throws: SystemError.self) { try pipes[1].read(1, into: &buffer) }
    }
}

/// A clock that is moved by hand, and wakes who has asked for it.
private final class WakingClock: SessionClock {
    private struct State {
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
        var waiting: [(deadline: NIODeadline, wake: @Sendable () -> Void)] = []
    }

    private let state = Mutex(State())

    func now() -> NIODeadline { state.withLock { $0.now } }

    func advance(to deadline: NIODeadline) {
        state.withLock { $0.now = max($0.now, deadline) }
        wakeDue()
    }

    func wake(at deadline: NIODeadline, _ wake: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
        state.withLock { $0.waiting.append((deadline, wake)) }
        wakeDue()
        return {}
    }

    /// Not here: who asks may hold a lock that the other one takes.
    private func wakeDue() {
        let due = state.withLock { state in
            let due = state.waiting.filter { $0.deadline <= state.now }
            state.waiting.removeAll { $0.deadline <= state.now }
            return due
        }
        for each in due { DispatchQueue.global().async(execute: each.wake) }
    }
}
