// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Opening one half of a transfer with its one token: where to ask, and whether to ask again.
///
/// A token that was not claimed stays good until it expires, so nothing is lost by asking again where the request was
/// never sent, or was answered by `503`. Pure: the time is an argument.
struct OpeningMachine: Hashable, Sendable {
    /// What to do about a failure.
    enum Action: Hashable, Sendable {
        /// Ask there, on a connection of its own, after a pause; `attempt` counts from 1.
        case ask(RequestTarget, after: TimeAmount, attempt: Int)
        /// It did not work, and this says best why.
        case fail(StreamError)
    }

    private enum State: Hashable {
        case asking(RequestTarget)
        case over
    }

    private let home: RequestTarget
    /// When the token is no longer worth trying.
    private let expiry: NIODeadline
    private var state: State
    private var backOff = BackOff()
    private var attempts = 0
    /// Why it was asked again.
    private var reason: StreamError?

    /// - Parameters:
    ///   - target: where the relay said to ask, perhaps at a node of its own.
    ///   - home: the same at the relay's own address, in case that node cannot be reached.
    ///   - expires: how many seconds the relay gives the token. A number that makes no sense is none of this side's
    ///     business: it is asked once then, or for an hour at most.
    init(target: RequestTarget, home: RequestTarget, expires: Int, now: NIODeadline) {
        self.home = home
        expiry = now + .seconds(Int64(min(max(expires, 0), Defaults.longestToken))) - Defaults.tokenMargin
        state = .asking(target)
    }

    /// The stream could not be opened.
    ///
    /// - Parameter generator: where the jitter comes from.
    mutating func failed(
        _ error: StreamError, now: NIODeadline, using generator: inout some RandomNumberGenerator
    ) -> Action {
        switch (state, error) {
        case (.over, _): return .fail(error)
        // Nothing was sent there, and what is wrong with that address need not be wrong with the relay's.
        case (.asking(let target), .connection) where target != home: return askHome(error, after: .zero)
        case (.asking, .connection(let cause)):
            guard Prospect(cause, hasWorked: true).isPassing else { return end(error) }
            return askAgain(error, least: .zero, now: now, using: &generator)
        case (.asking, .refused(let answer)) where Self.isBusy(answer):
            let least = min(answer.retryAfter ?? .zero, Defaults.longestPause)
            return askAgain(error, least: least, now: now, using: &generator)
        // The token is gone by now: what it was asked again for says more.
        case (.asking, .refused(let answer)) where answer.status == 403: return end(reason ?? error)
        case (.asking, .refused), (.asking, .cut), (.asking, .silent), (.asking, .badAddress): return end(error)
        }
    }

    /// Whether the relay, or a balancer before it, only cannot do it now.
    private static func isBusy(_ answer: HTTPAnswer) -> Bool {
        guard let code = answer.code else { return answer.status == 503 || answer.status == 502 }
        return answer.status == 503 && Prospect(code).isPassing
    }

    private mutating func askAgain(
        _ error: StreamError, least: TimeAmount, now: NIODeadline, using generator: inout some RandomNumberGenerator
    ) -> Action {
        let pause = max(backOff.next(using: &generator), least)
        guard now + pause < expiry else { return end(error) }
        return askHome(error, after: pause)
    }

    private mutating func askHome(_ error: StreamError, after pause: TimeAmount) -> Action {
        state = .asking(home)
        reason = error
        attempts += 1
        return .ask(home, after: pause, attempt: attempts)
    }

    private mutating func end(_ error: StreamError) -> Action {
        state = .over
        return .fail(error)
    }
}
