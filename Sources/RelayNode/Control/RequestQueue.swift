// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// What to do with a request that came, or next.
enum RequestStep: Hashable, Sendable {
    case nothing
    /// Hand this on as it is; ask again with ``RequestQueue/finished()`` right away.
    case run(ClientMessage)
    /// Ask the users' registry who this is, and call ``RequestQueue/finished()`` when the request has been handed on.
    case find(PeerName, for: ClientMessage)
}

/// Keeps the requests of one session in order although some of them wait for the users' registry or for other nodes: a
/// `cancel` must not overtake its `offer`.
struct RequestQueue: Sendable {
    private let capacity: Int
    private var isBusy = false
    private var waiting = CircularBuffer<ClientMessage>()

    /// - Parameter capacity: how many requests may wait.
    init(capacity: Int) {
        self.capacity = capacity
    }

    /// Whether another request can be taken; until then its owner has to keep it.
    var hasRoom: Bool { waiting.count < capacity }

    /// An open session asks for something that `SessionMachine` does not answer itself.
    mutating func requestReceived(_ message: ClientMessage) -> RequestStep {
        guard isBusy else { return begin(message) }
        // Reports of progress may be lost, so they never wait.
        if case .progress = message { return .nothing }
        waiting.append(message)
        return .nothing
    }

    /// The request that was being worked on has been handed on.
    mutating func finished() -> RequestStep {
        isBusy = false
        guard let next = waiting.popFirst() else { return .nothing }
        return begin(next)
    }

    private mutating func begin(_ message: ClientMessage) -> RequestStep {
        isBusy = true
        guard let name = message.lookedUpName else { return .run(message) }
        return .find(name, for: message)
    }
}
