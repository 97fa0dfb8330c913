// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Opening one half of a transfer with its one token: where to ask, and whether to ask again. Pure: the time is an
/// argument, and an address is whatever the caller has.
package struct OpeningMachine<Address: Hashable & Sendable>: Hashable, Sendable {
    /// What to do about a failure.
    package enum Action: Hashable, Sendable {
        /// Ask there, on a connection of its own, after a pause; `attempt` counts from 1.
        case ask(Address, after: TimeAmount, attempt: Int)
        /// It did not work, and this says best why.
        case fail(StreamError)
    }

    /// The address to fall back to, which is asked again.
    private let home: Address
    /// Where it was asked last.
    private var address: Address
    private var retry: RetryMachine
    /// Why it was asked again.
    private var reason: StreamError?

    /// - Parameters:
    ///   - address: where the relay said to ask, perhaps at a node of its own.
    ///   - home: the same at the relay's own address, in case that node cannot be reached.
    ///   - expires: how many seconds the relay gives the token. A number that makes no sense is none of this side's
    ///     business: it is asked once then, or for an hour at most.
    package init(_ address: Address, home: Address, expires: Int, now: NIODeadline) {
        self.home = home
        self.address = address
        let seconds = Int64(min(max(expires, 0), TransferDefaults.longestToken))
        retry = RetryMachine(expiry: now + .seconds(seconds) - TransferDefaults.tokenMargin)
    }

    /// The stream could not be opened.
    ///
    /// - Parameter generator: where the jitter comes from.
    package mutating func failed(
        _ error: StreamError, now: NIODeadline, using generator: inout some RandomNumberGenerator
    ) -> Action {
        let decision = RetryDecision(opening: error, isLast: address == home)
        switch retry.failed(decision, now: now, using: &generator) {
        case .tryAgain(let pause, let attempt):
            address = home
            reason = error
            return .ask(home, after: pause, attempt: attempt)
        case .fail, .giveUp:
            // The token is gone by now: what it was asked again for says more.
            guard case .refused(let answer) = error, answer.status == 403 else { return .fail(error) }
            defer { reason = nil }
            return .fail(reason ?? error)
        }
    }
}
