// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// The users a node has seen, for when Redis is away. The first seen are forgotten first when there are too many.
struct UserCache: Sendable {
    private var users: [PeerName: User] = [:]
    private var order = OrderedQueue<PeerName>()
    private let capacity: Int

    init(capacity: Int = Defaults.Routing.cachedUsers) { self.capacity = capacity }

    /// The user called `name`, as last seen.
    subscript(name: PeerName) -> User? {
        get { users[name] }
        set {
            users[name] = newValue
            guard newValue != nil else { return }
            _ = order.append(name)
            while order.count > capacity, let oldest = order.popFirst() { users[oldest] = nil }
        }
    }

    /// All of them.
    var all: [User] { Array(users.values) }
}
