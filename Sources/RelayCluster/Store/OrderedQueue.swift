// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A queue in which everything stands at most once.
struct OrderedQueue<Element: Hashable & Sendable>: Sendable {
    private var order = CircularBuffer<Element>()
    private var members: Set<Element> = []
    /// How many elements there may be.
    let capacity: Int

    init(capacity: Int = .max) { self.capacity = capacity }

    var isEmpty: Bool { order.isEmpty }
    var count: Int { order.count }

    /// Puts `element` at the end, unless it stands in the queue already. Returns false when there is no room.
    mutating func append(_ element: Element) -> Bool {
        if members.contains(element) { return true }
        guard order.count < capacity else { return false }
        members.insert(element)
        order.append(element)
        return true
    }

    /// Takes out the first; nil when there is none.
    mutating func popFirst() -> Element? {
        guard let first = order.popFirst() else { return nil }
        members.remove(first)
        return first
    }

    /// Takes out at most `count` from the front.
    mutating func popFirst(_ count: Int) -> [Element] {
        var elements: [Element] = []
        while elements.count < count, let element = popFirst() { elements.append(element) }
        return elements
    }

    mutating func removeAll() {
        order.removeAll()
        members.removeAll()
    }
}
