// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// When a requester asks for something, asks again, and gives up. The relay keeps no request for a sharer who is not
/// there, and does not say that there is none: an answer is one that comes. Pure: events and the time go in.
package struct FetchMachine: Sendable {
    /// Why nothing came.
    package enum Failure: Hashable, Sendable {
        /// A sharer, or the relay, said why.
        case refused(FailureCode)
        /// No sharer has answered, and this client does not wait.
        case unanswered
        /// Nothing has moved for as long as the person gave.
        case gaveUp
        /// Nothing has moved for as long as the person gave, and up to the end the relay took no request, as it said
        /// why.
        case hindered(FailureCode)
    }

    /// How far it is.
    package enum State: Hashable, Sendable {
        /// Nothing is on its way; the next request is due then, and waits for a connection.
        case asking(NIODeadline)
        /// There is no connection.
        case away
        /// What was asked for is coming.
        case coming
        case failed(Failure)
    }

    package private(set) var state = State.away
    private let patience: TimeAmount
    /// Whether to wait for a sharer who is not there.
    private let waits: Bool
    /// When the person's patience is over, unless something moves.
    private var end: NIODeadline
    /// From the next request to the one behind it.
    private var interval = TransferDefaults.firstRequestInterval
    /// What a sharer said, and up to when another one may say something better.
    private var refusal: (code: FailureCode, until: NIODeadline)?
    /// When it was asked first without waiting for an answer.
    private var firstAsked: NIODeadline?
    /// Whether the last that was heard of a sharer is that there are too many requests.
    private var isCrowded = false
    /// Why the relay took no request the last time, if it did not.
    private var hindrance: FailureCode?
    /// When to ask again for what broke; its patience is this machine's.
    private var retry = RetryMachine(patience: nil, now: .uptimeNanoseconds(0))
    /// How often it was asked again because the sharer's key had changed.
    private var freshTries = 0

    package init(patience: TimeAmount, waits: Bool, now: NIODeadline) {
        self.patience = patience
        self.waits = waits
        end = now + patience
    }

    /// Why it has failed; nil while it goes on.
    package var failure: Failure? { if case .failed(let failure) = state { failure } else { nil } }

    /// When ``deadlinePassed(now:)`` has to be called.
    package var deadline: NIODeadline? {
        switch state {
        case .asking(let due): [due, end, refusal?.until, silence].compactMap { $0 }.min()
        case .away: end
        case .coming, .failed: nil
        }
    }

    /// Whether a request has to go out now.
    package func isDue(now: NIODeadline) -> Bool { if case .asking(let due) = state { due <= now } else { false } }

    /// When no sharer is taken to be there.
    private var silence: NIODeadline? { waits ? nil : firstAsked.map { $0 + TransferDefaults.unawaitedAnswer } }

    // MARK: - Events

    /// A connection stands.
    package mutating func connected(now: NIODeadline) {
        guard case .away = state else { return }
        begin(at: now)
    }

    /// There is none any more, and what was coming is cut.
    package mutating func disconnected() {
        guard failure == nil else { return }
        (state, refusal) = (.away, nil)
    }

    /// A request goes out.
    package mutating func asked(now: NIODeadline) {
        guard case .asking = state else { return }
        firstAsked = firstAsked ?? now
        state = .asking(now + interval)
        interval = min(interval + interval, TransferDefaults.longestRequestInterval)
    }

    /// The relay takes no request now: it is asked again when the next one would be due.
    package mutating func postponed(_ code: FailureCode, now: NIODeadline) {
        guard case .asking = state else { return }
        hindrance = code
        if RetryDecision(code).isPassing {
            state = .asking(now + interval)
            return
        }
        state = .failed(.refused(code))
    }

    /// The relay has taken a request, and passes it on to the sharer's sessions.
    package mutating func passedOn() { hindrance = nil }

    /// What was asked for is offered, and taken.
    package mutating func coming(now: NIODeadline) {
        guard failure == nil else { return }
        (state, refusal, firstAsked, isCrowded, hindrance) = (.coming, nil, nil, false, nil)
        end = max(end, now + patience)
    }

    /// Bytes of it flow.
    package mutating func moved(now: NIODeadline) {
        retry.started(now: now)
        freshTries = 0
        end = now + patience
    }

    /// It broke, for a reason that may pass.
    ///
    /// - Parameter generator: where the jitter of the pauses comes from.
    package mutating func broke(now: NIODeadline, using generator: inout some RandomNumberGenerator) {
        let passing = RetryDecision.passing(after: .zero, elsewhere: false)
        guard case .coming = state,
            case .tryAgain(let pause, _) = retry.failed(passing, now: now, using: &generator)
        else { return }
        begin(at: now + pause)
    }

    /// It was changed meanwhile, and its sharer offers what is there now in answer to the same request: it is asked for
    /// again if nothing comes of that.
    package mutating func restarted(now: NIODeadline) {
        guard case .coming = state else { return }
        begin(at: now + TransferDefaults.firstRequestInterval)
    }

    /// A sharer says that it will not answer with an offer. Returns whether it has to be looked up anew.
    package mutating func refused(_ code: FailureCode, now: NIODeadline) -> Bool {
        guard case .asking = state else { return false }
        if code == .tooManyRequests {
            // There is something, and it may be had later: it is asked for again as if no sharer had answered.
            (firstAsked, isCrowded) = (nil, true)
            return false
        }
        if code == .badPrekey, freshTries < TransferDefaults.freshTries {
            freshTries += 1
            begin(at: now)
            return true
        }
        // Of two who refuse, the one who has it, and cannot give it, says more.
        if refusal == nil || refusal?.code == .notShared {
            refusal = (code, refusal?.until ?? now + TransferDefaults.otherAnswers)
        }
        return false
    }

    /// The time is `now`. Harmless when nothing is due.
    package mutating func deadlinePassed(now: NIODeadline) {
        switch state {
        case .asking:
            if let refusal, refusal.until <= now {
                state = .failed(.refused(refusal.code))
            } else if let silence, silence <= now {
                state = .failed(hindrance.map { Failure.refused($0) } ?? .unanswered)
            } else if end <= now {
                let lateness = hindrance.map { Failure.hindered($0) } ?? .gaveUp
                state = .failed(isCrowded ? .refused(.tooManyRequests) : lateness)
            }
        case .away where end <= now: state = .failed(.gaveUp)
        case .away, .coming, .failed: break
        }
    }

    private mutating func begin(at due: NIODeadline) {
        (state, refusal) = (.asking(due), nil)
        interval = TransferDefaults.firstRequestInterval
    }
}
