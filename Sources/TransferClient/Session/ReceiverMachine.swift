// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import WSProtocol

/// How far a receiver is as a whole: whether the relay rings it, and whether it goes on. Each transfer has a
/// ``ReceiveMachine`` of its own. Pure: events and the time go in, actions come out, to be run in their order.
package struct ReceiverMachine: Hashable, Sendable {
    /// Whether the relay rings this session.
    package enum Presence: Hashable, Sendable {
        /// There is no connection, or it is about to be left.
        case away
        /// `presence` is out, without an answer.
        case announcing(deadline: NIODeadline)
        case present
    }

    /// What it is here for.
    package enum Goal: Hashable, Sendable {
        /// Whatever is offered.
        case receiving
        /// The one content is here, but its sender may not know: how long to stay to say so again.
        case staying(until: NIODeadline)
        case over(Ending)
    }

    /// Why it does not go on.
    package enum Ending: Hashable, Sendable {
        case done
        /// `isReported` where the person has been told the reason, as that of a transfer.
        case failed(ClientError, isReported: Bool)
    }

    /// What the owner has to do.
    package enum Action: Hashable, Sendable {
        /// Ask the relay to be rung.
        case announce
        /// The relay does what it was asked.
        case answered
        /// Tell the person that files may come.
        case reportReady
        /// Look for another node.
        case leave(RetryDecision, reason: String)
        /// Tell the person that more is offered than is kept in mind.
        case reportTooManyOffers
    }

    package private(set) var presence = Presence.away
    package private(set) var goal = Goal.receiving
    /// Whether to end after the first content.
    private let isOnce: Bool
    /// Whether the person was told that files may come.
    private var hasBeenReady = false
    /// Whether the person was told that more is offered than is kept in mind.
    private var hasLeftUnanswered = false

    /// - Parameter isOnce: whether to end after the first content.
    package init(isOnce: Bool) { self.isOnce = isOnce }

    /// Why it has ended; nil while it goes on.
    package var ending: Ending? { if case .over(let ending) = goal { ending } else { nil } }

    /// When ``deadlinePassed(now:)`` has to be called.
    package var deadline: NIODeadline? {
        let answer: NIODeadline? = if case .announcing(let deadline) = presence { deadline } else { nil }
        let stay: NIODeadline? = if case .staying(let until) = goal { until } else { nil }
        return [answer, stay].compactMap { $0 }.min()
    }

    /// Whether an offer may be taken.
    ///
    /// - Parameter isHere: whether its content is here already, and only has to be confirmed.
    package func takes(isHere: Bool) -> Bool {
        switch goal {
        case .receiving: true
        // The one that was wanted is here; another session may take others.
        case .staying: isHere
        case .over: false
        }
    }

    // MARK: - The connection

    /// A connection stands.
    package mutating func connected(now: NIODeadline) -> [Action] {
        switch goal {
        case .receiving, .staying:
            presence = .announcing(deadline: now + TransferDefaults.answerTimeout)
            return [.announce]
        case .over: return []
        }
    }

    /// The relay rings this session from now on.
    package mutating func announced() -> [Action] {
        switch presence {
        case .announcing:
            presence = .present
            defer { hasBeenReady = true }
            return hasBeenReady ? [.answered] : [.answered, .reportReady]
        case .away, .present: return []
        }
    }

    /// The relay does not ring this session.
    package mutating func refused(_ error: ConnectionError) -> [Action] {
        switch presence {
        case .announcing:
            presence = .away
            let decision = error.code.map { RetryDecision($0) } ?? .final
            if decision.isPassing { return [.leave(decision, reason: error.summary)] }
            end(.failed(.connection(error), isReported: false))
            return []
        case .away, .present: return []
        }
    }

    /// The connection is gone, or is being left.
    package mutating func disconnected() { presence = .away }

    /// There is no use in looking for the relay.
    package mutating func unreachable(_ error: ConnectionError) { end(.failed(.connection(error), isReported: false)) }

    /// The time is `now`. Harmless when nothing is due.
    package mutating func deadlinePassed(now: NIODeadline) -> [Action] {
        if case .staying(let until) = goal, until <= now { end(.done) }
        guard case .announcing(let deadline) = presence, deadline <= now else { return [] }
        presence = .away
        // Another one may be heard.
        return [.leave(.elsewhere, reason: "the relay does not answer")]
    }

    /// There are more offers than this session keeps in mind. A `decline` would be this person's word, and there was
    /// none: the offer rings until another session takes it, this one comes back, or its time is over.
    package mutating func leftUnanswered() -> [Action] {
        defer { hasLeftUnanswered = true }
        return hasLeftUnanswered ? [] : [.reportTooManyOffers]
    }

    // MARK: - The transfers

    /// A content is stored.
    ///
    /// - Parameter isAwaited: whether its sender may not have heard of it, and comes back to ask.
    package mutating func received(isAwaited: Bool, now: NIODeadline) {
        switch goal {
        case .receiving where isOnce && isAwaited:
            goal = .staying(until: now + TransferDefaults.confirmationPatience)
        case .receiving where isOnce: end(.done)
        case .receiving, .staying, .over: break
        }
    }

    /// The sender of a content that was here already knows now.
    package mutating func confirmed() {
        switch goal {
        case .staying: end(.done)
        case .receiving, .over: break
        }
    }

    /// A transfer is over for good, which the person has been told.
    ///
    /// - Parameters:
    ///   - isTheOne: whether it could have been the one content.
    ///   - isSpoilt: whether nothing may follow it where it went.
    package mutating func failed(_ error: ClientError, isTheOne: Bool, isSpoilt: Bool) {
        if isSpoilt || isOnce && isTheOne { end(.failed(error, isReported: true)) }
    }

    /// The person wants no more.
    package mutating func interrupted() {
        switch goal {
        case .receiving: end(.failed(.interrupted, isReported: false))
        // What was asked for is here.
        case .staying: end(.done)
        case .over: break
        }
    }

    private mutating func end(_ ending: Ending) {
        switch goal {
        case .receiving, .staying: goal = .over(ending)
        case .over: break
        }
    }
}
