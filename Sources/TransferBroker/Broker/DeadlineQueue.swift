// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Keys in the order of their deadlines: a binary heap.
///
/// An entry is never taken out before its time: the caller that pops a key asks the key's owner whether the deadline
/// still stands. ``compact(keeping:)`` keeps the entries that do not from piling up.
struct DeadlineQueue<Key: Sendable>: Sendable {
    /// One deadline of one key.
    struct Entry: Sendable {
        var deadline: NIODeadline
        var key: Key
    }

    private var heap: [Entry] = []

    /// Entries, outdated ones included.
    var count: Int { heap.count }

    /// The earliest deadline.
    var next: NIODeadline? { heap.first?.deadline }

    /// Adds a deadline for `key`.
    mutating func insert(_ key: Key, at deadline: NIODeadline) {
        heap.append(Entry(deadline: deadline, key: key))
        siftUp(from: heap.count - 1)
    }

    /// Takes out the earliest entry whose deadline is not after `now`.
    mutating func popDue(now: NIODeadline) -> Entry? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        siftDown(from: 0)
        return first
    }

    /// Drops every entry for which `stands` is false. Takes time in proportion to ``count``.
    mutating func compact(keeping stands: (Entry) -> Bool) {
        heap.removeAll { !stands($0) }
        for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(from: index) }
    }

    private mutating func siftUp(from start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].deadline < heap[parent].deadline else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(from start: Int) {
        var parent = start
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if heap[child].deadline < heap[smallest].deadline { smallest = child }
            }
            guard smallest != parent else { return }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
