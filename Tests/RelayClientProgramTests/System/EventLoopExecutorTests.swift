// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Testing

@testable import RelayClientProgram
@testable import TransferClient

@Suite struct EventLoopExecutorTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.any()

    @Test func aTaskAndItsChildrenAreOnTheLoopAlsoAfterTheyWaited() async throws {
        let loop = loop
        let places = try await Task(executorPreference: EventLoopExecutor(loop)) {
            var places = [loop.inEventLoop]
            try await BlockingWork.files.run {}
            places.append(loop.inEventLoop)
            async let child = loop.inEventLoop
            places.append(await child)
            try await loop.submit {}.get()
            return places + [loop.inEventLoop]
        }.value
        #expect(places == [true, true, true, true])
    }

    @Test func whatIsBoundedRunsWhereItIsTold() async throws {
        let (loop, interruption) = (loop, InterruptSignal())
        #expect(
            try await interruption.bounded(on: EventLoopExecutor(loop)) { () throws(ClientError) in loop.inEventLoop })
        #expect(try await !interruption.bounded { () throws(ClientError) in loop.inEventLoop })
    }
}
