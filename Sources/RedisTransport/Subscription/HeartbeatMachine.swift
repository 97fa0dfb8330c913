// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// Whether a subscription is alive: a nonce is published on another connection and has to come back on this one.
///
/// A dead subscription looks just like a quiet one. This also proves that what is published arrives at all.
struct HeartbeatMachine {
    /// What is to be done.
    enum Action: Hashable {
        /// Nothing.
        case none
        /// Call ``timerFired(now:nonce:)`` then.
        case wake(NIODeadline)
        /// Publish this, and call ``timerFired(now:nonce:)`` then.
        case publish(UInt64, wake: NIODeadline)
        /// The subscription is dead.
        case dead
    }

    private enum State: Hashable {
        case stopped
        case resting(until: NIODeadline)
        case waiting(nonce: UInt64, due: NIODeadline)
        /// The nonce could not be published.
        case retrying(nonce: UInt64, at: NIODeadline, due: NIODeadline)
    }

    private let timing: HeartbeatTiming
    private var state = State.stopped

    init(timing: HeartbeatTiming) {
        self.timing = timing
    }

    /// All channels are subscribed.
    mutating func started(now: NIODeadline) -> Action { rest(now) }

    /// It is `now`, which is when this was asked for.
    ///
    /// - Parameter nonce: random, and used if one is needed.
    mutating func timerFired(now: NIODeadline, nonce: UInt64) -> Action {
        switch state {
        case .stopped: return .none
        case .resting(let time):
            guard now >= time else { return .wake(time) }
            state = .waiting(nonce: nonce, due: now + timing.timeout)
            return .publish(nonce, wake: now + timing.timeout)
        case .waiting(_, let due):
            guard now >= due else { return .wake(due) }
            state = .stopped
            return .dead
        case .retrying(let nonce, let time, let due):
            guard now < due else {
                state = .stopped
                return .dead
            }
            guard now >= time else { return .wake(time) }
            state = .waiting(nonce: nonce, due: due)
            return .publish(nonce, wake: due)
        }
    }

    /// This nonce could not be published.
    mutating func publishFailed(_ failed: UInt64, now: NIODeadline) -> Action {
        switch state {
        case .waiting(let nonce, let due) where nonce == failed:
            let time = min(now + timing.retry, due)
            state = .retrying(nonce: nonce, at: time, due: due)
            return .wake(time)
        case .stopped, .resting, .waiting, .retrying: return .none
        }
    }

    /// A nonce came in on the subscription.
    mutating func received(_ received: UInt64, now: NIODeadline) -> Action {
        switch state {
        case .waiting(let nonce, _) where nonce == received: return rest(now)
        // Redis has it, although the reply to PUBLISH was lost.
        case .retrying(let nonce, _, _) where nonce == received: return rest(now)
        case .stopped, .resting, .waiting, .retrying: return .none
        }
    }

    /// The subscription ended.
    mutating func stopped() { state = .stopped }

    private mutating func rest(_ now: NIODeadline) -> Action {
        state = .resting(until: now + timing.interval)
        return .wake(now + timing.interval)
    }
}

/// How a heartbeat looks among the messages of a channel: a NUL, a word, a number in hexadecimal.
enum HeartbeatText {
    /// A node's own messages begin with no NUL.
    private static let prefix = "\0heartbeat "

    /// The heartbeat of this nonce.
    static func text(_ nonce: UInt64) -> String { prefix + String(nonce, radix: 16) }

    /// The nonce, if the payload is a heartbeat.
    static func nonce(_ payload: ByteBuffer) -> UInt64? {
        let bytes = payload.readableBytesView
        guard bytes.count <= prefix.utf8.count + 16, bytes.starts(with: prefix.utf8) else { return nil }
        return UInt64(String(decoding: bytes.dropFirst(prefix.utf8.count), as: UTF8.self), radix: 16)
    }
}
