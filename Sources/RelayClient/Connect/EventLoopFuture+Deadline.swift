// SPDX-License-Identifier: Apache-2.0

import NIOCore

extension EventLoopFuture where Value: Sendable {
    /// The same, or `error` at `deadline` if nothing has come by then. Nobody else has to do anything for that: not the
    /// other side, and no handler of a channel that may be gone already.
    func bounded(by deadline: NIODeadline, or error: any Error) -> EventLoopFuture<Value> {
        let promise = eventLoop.makePromise(of: Value.self)
        let overdue = eventLoop.scheduleTask(deadline: deadline) { promise.fail(error) }
        whenComplete { result in
            overdue.cancel()
            promise.completeWith(result)
        }
        return promise.futureResult
    }
}
