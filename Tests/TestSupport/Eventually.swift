// SPDX-License-Identifier: Apache-2.0

private import Dispatch
private import Synchronization

/// Waits until a condition holds that no event announces.
///
/// - Parameter what: said when it does not come true in `seconds`.
package func eventually(
    _ what: String, seconds: Int64 = 30, _ condition: @escaping @Sendable () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + .seconds(seconds)
    while try await !condition() {
        guard ContinuousClock.now < end else { throw InVain(description: "waited in vain for \(what)") }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(10)) { continuation.resume() }
        }
    }
}

/// What `attempt` returns, or throws: tried again as long as it throws an error that `isPassing`.
package func eventually<Result: Sendable>(
    _ what: String, despite isPassing: @escaping @Sendable (any Error) -> Bool,
    attempt: @escaping @Sendable () throws -> Result
) async throws -> Result {
    let result = Mutex<Result?>(nil)
    try await eventually(what) {
        do {
            let value = try attempt()
            result.withLock { $0 = value }
            return true
        } catch  where isPassing(error) {
            return false
        }
    }
    guard let value = result.withLock({ $0 }) else { throw InVain(description: "waited in vain for \(what)") }
    return value
}

/// A test waited in vain.
package struct InVain: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}
