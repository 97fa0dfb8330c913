// SPDX-License-Identifier: Apache-2.0

private import Dispatch

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

/// A test waited in vain.
package struct InVain: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}
