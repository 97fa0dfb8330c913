// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Control messages that wait until the relay's limit allows them, for one sender: whoever ``add(_:)`` tells to. Pure:
/// the time is an argument.
struct Outbox {
    /// What the sender does next.
    enum Step: Hashable {
        case send(ClientMessage)
        /// Ask again then.
        case wait(NIODeadline)
        /// Everything is sent, and nobody is the sender any more.
        case nothing
    }

    private var budget = MessageBudget()
    private var urgent: [ClientMessage] = []
    private var declines: [ClientMessage] = []
    private var hasSender = false

    /// Adds a message: a `decline` behind everything, because nobody's bytes wait for it, and any other behind its like.
    ///
    /// - Returns: whether the caller is the sender now, and asks for ``next(now:)`` until that is ``Step/nothing``.
    mutating func add(_ message: ClientMessage) -> Bool {
        if case .decline = message { declines.append(message) } else { urgent.append(message) }
        defer { hasSender = true }
        return !hasSender
    }

    /// The next message, which leaves the box, or how long to wait for it.
    mutating func next(now: NIODeadline) -> Step {
        hasSender = !urgent.isEmpty || !declines.isEmpty
        guard hasSender else { return .nothing }
        if let pause = budget.take(now: now) { return .wait(pause) }
        return .send(urgent.isEmpty ? declines.removeFirst() : urgent.removeFirst())
    }
}
