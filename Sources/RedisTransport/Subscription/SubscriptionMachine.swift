// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// What comes on a connection that subscribes to channels.
///
/// hiredis' own asynchronous layer ends the process at some of the replies that are only errors here.
struct SubscriptionMachine {
    /// What is to be done.
    enum Action: Equatable {
        /// Nothing.
        case none
        /// Send this; all of it has to be confirmed in time.
        case subscribe(RedisCommand)
        /// All channels are subscribed.
        case announce
        /// A message was published.
        case deliver(RedisMessage)
        /// A message of more bytes than allowed was published.
        case dropOversized
        /// Close the connection.
        case fail(RedisError)
    }

    private enum State: Hashable {
        case idle
        case subscribing(pending: Set<String>)
        case subscribed
        case ended
    }

    private let channels: [String]
    /// Whether the channels are of a slot, and heard only at the server that has it.
    private var isSharded = false
    private var state = State.idle

    init(channels: [String]) {
        self.channels = channels
    }

    /// The connection stands.
    ///
    /// - Parameter isCluster: whether it is to a node of a Redis Cluster.
    mutating func connected(isCluster: Bool = false) -> Action {
        switch state {
        case .idle:
            state = .subscribing(pending: Set(channels))
            isSharded = isCluster
            return .subscribe(
                RedisCommand(isCluster ? "SSUBSCRIBE" : "SUBSCRIBE", channels.map { .init(string: $0) }))
        case .subscribing, .subscribed, .ended: return .none
        }
    }

    /// Something came.
    mutating func replyReceived(_ reply: RESPValue) -> Action {
        switch state {
        case .ended: return .none
        case .idle: return violation("it spoke first")
        case .subscribing(let pending): return received(reply, pending)
        case .subscribed: return received(reply, [])
        }
    }

    /// The time to confirm is over.
    mutating func timedOut() -> Action {
        switch state {
        case .subscribing: return fail(RedisError(.deadlineExceeded, "it did not confirm the subscription"))
        case .idle, .subscribed, .ended: return .none
        }
    }

    private mutating func received(_ reply: RESPValue, _ pending: Set<String>) -> Action {
        if case .error(let text) = reply { return fail(RedisError(.replied, text)) }
        guard let parts = reply.elements, parts.count == 3, let kind = parts[0].bytes.map(String.init(buffer:)),
            let channel = parts[1].text, channels.contains(channel)
        else { return violation("a message has not the form of one") }
        switch kind {
        case "sunsubscribe" where isSharded:
            return fail(RedisError(.unavailable, "the slot of the channel has moved to another server"))
        case isSharded ? "smessage" : "message": return message(channel, parts[2], isPending: pending.contains(channel))
        case isSharded ? "ssubscribe" : "subscribe": return confirmation(channel, parts[2], pending)
        // This side never unsubscribes, so no confirmation of that is expected.
        case let other: return violation("there is a message of the kind \(other)")
        }
    }

    private mutating func message(_ channel: String, _ payload: RESPValue, isPending: Bool) -> Action {
        guard !isPending, let payload = payload.bytes else { return violation("a message has not the form of one") }
        guard payload.readableBytes <= RedisDefaults.messageLength else { return .dropOversized }
        return .deliver(RedisMessage(channel: channel, payload: payload))
    }

    private mutating func confirmation(_ channel: String, _ count: RESPValue, _ pending: Set<String>) -> Action {
        guard count.number != nil, pending.contains(channel) else {
            return violation("it confirms what was not asked for")
        }
        let pending = pending.subtracting([channel])
        state = pending.isEmpty ? .subscribed : .subscribing(pending: pending)
        return pending.isEmpty ? .announce : .none
    }

    private mutating func violation(_ message: String) -> Action {
        fail(RedisError(.protocolViolation, message))
    }

    private mutating func fail(_ error: RedisError) -> Action {
        state = .ended
        return .fail(error)
    }
}
