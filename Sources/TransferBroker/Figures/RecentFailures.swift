// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// The pairs of names between which a transfer has failed a short while ago: what comes between them next is probably
/// that transfer, tried again.
///
/// A relay cannot know. Each attempt has an id of its own, and that of the transfer is sealed.
struct RecentFailures: Sendable {
    /// Between whom a transfer is.
    struct Pair: Hashable, Sendable {
        var sender: PeerName
        var recipient: PeerName
    }

    private let memory: TimeAmount
    private let capacity: Int
    private var ends: [Pair: NIODeadline] = [:]

    /// - Parameters:
    ///   - memory: how long a failure is remembered.
    ///   - capacity: how many pairs; further ones are not.
    init(memory: TimeAmount, capacity: Int) {
        self.memory = memory
        self.capacity = capacity
    }

    var count: Int { ends.count }

    /// A transfer of `pair` has failed.
    mutating func failed(_ pair: Pair, now: NIODeadline) {
        if ends.count >= capacity, ends[pair] == nil {
            ends = ends.filter { now < $0.value }
            guard ends.count < capacity else { return }
        }
        ends[pair] = now + memory
    }

    /// A transfer of `pair` begins. Returns whether one before it has failed lately.
    mutating func began(_ pair: Pair, now: NIODeadline) -> Bool {
        ends.removeValue(forKey: pair).map { now < $0 } ?? false
    }
}
