// SPDX-License-Identifier: Apache-2.0

import Synchronization
import WSProtocol

/// The messages of this client that another client waits for, and that the relay has not answered: a relay may drop
/// what it has not got to yet when the connection is closed right behind it. Safe to use from any thread.
final class UnansweredMessages: Sendable {
    private struct State {
        var unanswered: Set<RequestID> = []
        var isOver = false
        var waiting: (@Sendable () -> Void)?

        /// What is to be called now, outside the lock.
        mutating func answered() -> (@Sendable () -> Void)? {
            guard isOver || unanswered.isEmpty else { return nil }
            defer { waiting = nil }
            return waiting
        }
    }

    private let state = Mutex(State())

    /// A message goes out. An offer that is withdrawn at once is answered before its `cancel` is.
    func said(_ message: ClientMessage) {
        switch message {
        case .cancel, .decline, .refuse, .delivered: state.withLock { _ = $0.unanswered.insert(message.id) }
        default: break
        }
    }

    /// A message has come.
    func heard(_ message: ServerMessage) {
        let id: RequestID
        switch message {
        case .ok(let answer): id = answer.id
        case .error(let refusal): id = refusal.id
        default: return
        }
        state.withLock { state in
            state.unanswered.remove(id)
            return state.answered()
        }?()
    }

    /// Nothing more comes.
    func ended() {
        state.withLock { state in
            state.isOver = true
            return state.answered()
        }?()
    }

    /// Calls `callback` once there is nothing to wait for; at once where that is so now. For one caller.
    func whenAnswered(_ callback: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.waiting = callback
            return state.answered()
        }?()
    }
}
