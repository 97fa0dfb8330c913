// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import RelayClientProgram

/// A future with a deadline of its own.
struct DeadlineTests {
    private let loop = EmbeddedEventLoop()

    private func bounded(_ promise: EventLoopPromise<Int>) -> EventLoopFuture<Int> {
        promise.futureResult.bounded(by: loop.now + .seconds(5), or: ChannelError.eof)
    }

    @Test func aFutureFailsAtItsDeadline() {
        let promise = loop.makePromise(of: Int.self)
        let future = bounded(promise)
        loop.advanceTime(by: .seconds(5))
        #expect(throws: ChannelError.eof) { try future.outcome?.get() }
        // What comes later is too late.
        promise.succeed(1)
        #expect(throws: ChannelError.eof) { try future.outcome?.get() }
    }

    @Test func aValueBeforeTheDeadlineIsTheResult() throws {
        let promise = loop.makePromise(of: Int.self)
        let future = bounded(promise)
        loop.advanceTime(by: .seconds(4))
        promise.succeed(1)
        loop.advanceTime(by: .seconds(4))
        #expect(try future.outcome?.get() == 1)
    }

    @Test func anErrorBeforeTheDeadlineIsTheResult() {
        let promise = loop.makePromise(of: Int.self)
        let future = bounded(promise)
        promise.fail(ChannelError.alreadyClosed)
        loop.advanceTime(by: .seconds(6))
        #expect(throws: ChannelError.alreadyClosed) { try future.outcome?.get() }
    }
}
