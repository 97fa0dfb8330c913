// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// When each session is told to go elsewhere, and up to when it may. Pure: the time is an argument.
///
/// Each session has a moment of its own in the first half of the time, in no order that a client could foresee, so that
/// the nodes that take them are not stormed; the second half is for those that do not get in at once.
struct SessionMoves: Sendable {
    /// What is to be done.
    enum Due: Hashable, Sendable {
        case nothing
        case tell([SessionID], until: NIODeadline)
        /// The time is over.
        case over
    }

    private enum State: Sendable {
        case none
        case underWay(until: NIODeadline)
        case over
    }

    private var state = State.none
    private var moments = DeadlineQueue<SessionID>()
    private var untold: Set<SessionID> = []

    /// Up to when there is time to go; nil before anyone has to, and after that.
    var deadline: NIODeadline? { if case .underWay(let deadline) = state { deadline } else { nil } }

    /// Whether there is still time to go.
    var isUnderWay: Bool { deadline != nil }

    /// Whether the time to go is over.
    var isOver: Bool { if case .over = state { true } else { false } }

    /// All of `sessions` are to go until `deadline`. Only the first call counts.
    mutating func begin(_ sessions: [SessionID], until deadline: NIODeadline, now: NIODeadline) {
        guard case .none = state else { return }
        state = .underWay(until: deadline)
        untold = Set(sessions)
        let each = 1_000_000_000 / Int64(Defaults.Broker.movesPerSecond)
        let (longest, overflow) = Int64(sessions.count).multipliedReportingOverflow(by: each)
        let half = max(0, (deadline - now).nanoseconds / 2)
        let window = overflow ? half : min(half, longest)
        // The first goes at once, so that a few do not wait for nothing.
        for (index, session) in sessions.shuffled().enumerated() {
            let share = Double(index) / Double(sessions.count)
            moments.insert(session, at: now + .nanoseconds(Int64(Double(window) * share)))
        }
    }

    /// `session` has to know at once. Returns the deadline that it is to be told of, unless it has been.
    mutating func hurry(_ session: SessionID) -> NIODeadline? { untold.remove(session) == nil ? nil : deadline }

    /// `session` is gone.
    mutating func closed(_ session: SessionID) { untold.remove(session) }

    /// The time is `now`.
    mutating func due(now: NIODeadline) -> Due {
        guard case .underWay(let deadline) = state else { return .nothing }
        guard now < deadline else {
            (state, moments, untold) = (.over, DeadlineQueue(), [])
            return .over
        }
        var due: [SessionID] = []
        while let entry = moments.popDue(now: now) {
            if untold.remove(entry.key) != nil { due.append(entry.key) }
        }
        return due.isEmpty ? .nothing : .tell(due, until: deadline)
    }
}
