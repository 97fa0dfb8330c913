// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// Which command the next reply belongs to, and until when it has to come. Replies come in the order of the commands.
struct PipelineMachine {
    /// What to do with a command.
    enum SendAction: Hashable {
        /// Send it.
        case send
        /// Send it, and look at the clock at this time; no earlier look is needed.
        case sendAndWake(NIODeadline)
        /// Do not send it, for this reason.
        case refuse(RedisError.Code)
    }

    /// What to do with a reply.
    enum ReplyAction: Hashable {
        /// It is this command's.
        case deliver(Int)
        /// No command waits for it: close the connection, nothing on it can be trusted.
        case fail
        /// Nothing: the connection is closed.
        case none
    }

    /// What to do at a time.
    enum TimeAction: Hashable {
        /// Nothing, and nothing later.
        case none
        /// Look again then.
        case wake(NIODeadline)
        /// Close the connection: a reply that comes late must not be taken for another's. The commands have failed;
        /// the time of the first ones was over.
        case fail(late: [Int], others: [Int])
    }

    private struct Entry: Hashable {
        let id: Int
        let length: Int
        let deadline: NIODeadline
    }

    private enum State: Hashable {
        case standing
        case closed
    }

    private var state = State.standing
    private var entries = CircularBuffer<Entry>()
    private var length = 0
    /// When ``timeCame(_:)`` will be called.
    private var wake: NIODeadline?

    /// A command is to be sent.
    ///
    /// - Parameter id: names it in the actions that follow; each only once.
    mutating func sendRequested(id: Int, length count: Int, deadline: NIODeadline) -> SendAction {
        switch state {
        case .closed: return .refuse(.unavailable)
        case .standing:
            guard entries.count < RedisDefaults.commandsInFlight, count <= RedisDefaults.bytesInFlight - length else {
                return .refuse(.overloaded)
            }
            entries.append(Entry(id: id, length: count, deadline: deadline))
            length += count
            if let wake, wake <= deadline { return .send }
            wake = deadline
            return .sendAndWake(deadline)
        }
    }

    /// A reply came.
    mutating func replyReceived() -> ReplyAction {
        switch state {
        case .closed: return .none
        case .standing:
            guard let entry = entries.popFirst() else {
                state = .closed
                return .fail
            }
            length -= entry.length
            return .deliver(entry.id)
        }
    }

    /// It is `now`, which is when it was asked to be told.
    mutating func timeCame(_ now: NIODeadline) -> TimeAction {
        wake = nil
        switch state {
        case .closed: return .none
        case .standing:
            guard let first = entries.lazy.map(\.deadline).min() else { return .none }
            guard first <= now else {
                wake = first
                return .wake(first)
            }
            let late = entries.filter { $0.deadline <= now }.map(\.id)
            let others = entries.filter { $0.deadline > now }.map(\.id)
            end()
            return .fail(late: late, others: others)
        }
    }

    /// The connection ended.
    ///
    /// - Returns: the commands that will get no reply.
    mutating func closed() -> [Int] {
        let ids = entries.map(\.id)
        end()
        return ids
    }

    private mutating func end() {
        state = .closed
        entries.removeAll()
        length = 0
    }
}
