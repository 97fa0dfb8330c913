// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// Runs blocking work on threads of its own, as processes would: the runtime's threads are too few to be in each
/// other's way.
enum AtOnce {
    /// What each of `count` calls gives, in no order. They begin together.
    static func run<Value: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) throws -> Value
    ) async throws -> [Value] {
        let results = Mutex<[Result<Value, any Error>]>([])
        let (begin, ended) = (DispatchSemaphore(value: 0), AsyncStream<Void>.makeStream())
        for number in 0..<count {
            Thread.detachNewThread {
                begin.wait()
                let result = Result { try body(number) }
                let isLast = results.withLock { results in
                    results.append(result)
                    return results.count == count
                }
                if isLast { ended.continuation.finish() }
            }
        }
        for _ in 0..<count { begin.signal() }
        for await _ in ended.stream {}
        return try results.withLock { try $0.map { try $0.get() } }
    }
}
