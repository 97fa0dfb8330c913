// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// The connections that later ones have replaced, which are kept for what was begun on them. Pure but for the boxes in
/// it: the time is an argument.
struct FormerConnections {
    private struct Former {
        let outbox: Outbox
        /// When every node can find the client by the later connection; nil as long as that one is not proved.
        var coveredAt: NIODeadline?
        /// Whether the relay was told not to ring it any more.
        var isQuiet = false
    }

    private var formers: [Former] = []

    /// The one of that number.
    subscript(number: UInt64) -> Outbox? { formers.first { $0.outbox.number == number }?.outbox }

    /// All of them.
    var outboxes: [Outbox] { formers.map(\.outbox) }

    /// When ``quieten(now:)`` has to be called.
    var deadline: NIODeadline? { formers.compactMap { $0.isQuiet ? nil : $0.coveredAt }.min() }

    /// A later connection has replaced `outbox`.
    mutating func append(_ outbox: Outbox) { formers.append(Former(outbox: outbox)) }

    /// The connection of that number is gone. Returns whether it was one of these.
    mutating func remove(_ number: UInt64) -> Bool {
        let before = formers.count
        formers.removeAll { $0.outbox.number == number }
        return formers.count < before
    }

    /// The connection that stands does what it is asked.
    mutating func covered(now: NIODeadline) {
        for index in formers.indices where formers[index].coveredAt == nil {
            formers[index].coveredAt = now + TransferDefaults.moveOverlap
        }
    }

    /// Has those rung no more that are not needed for that.
    mutating func quieten(now: NIODeadline) {
        for index in formers.indices where !formers[index].isQuiet {
            guard let coveredAt = formers[index].coveredAt, coveredAt <= now else { continue }
            formers[index].isQuiet = true
            let outbox = formers[index].outbox
            outbox.post(.presence(.init(id: outbox.nextID(), receiving: false, sharing: false)))
        }
    }

    /// Takes out those that nothing is left for.
    ///
    /// - Parameter isHeld: whether something goes on over the one of that number.
    mutating func takeUnused(_ isHeld: (UInt64) -> Bool) -> [Outbox] {
        let unused = formers.filter { $0.isQuiet && !isHeld($0.outbox.number) }.map(\.outbox)
        formers.removeAll { former in unused.contains { $0.number == former.outbox.number } }
        return unused
    }
}
