// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// The names whose sessions are on their way from one process to the one that takes its place: who looks for them
/// finds them, though no session of theirs wants to be rung here. Pure: the time is an argument.
///
/// The new process has those that are still to come, and the old one those that have gone. Each of them knows for as
/// long as sessions take to go over; after that a name is there if a session of it is.
struct PassingNames: Sendable {
    private var names: Set<PeerName> = []
    private var end: NIODeadline?

    /// Whether `name` is on its way.
    func contains(_ name: PeerName) -> Bool { names.contains(name) }

    /// All names that are on their way.
    var all: Set<PeerName> { names }

    /// Whether there is a time at all in which names are on their way.
    var isOpen: Bool { end != nil }

    /// Names are on their way until `deadline`.
    mutating func open(until deadline: NIODeadline) { end = deadline }

    /// `name` is on its way, if there is still time.
    mutating func insert(_ name: PeerName) { if isOpen { names.insert(name) } }

    /// `name` has come.
    mutating func remove(_ name: PeerName) { names.remove(name) }

    /// Names that have not come when the time is over, once.
    mutating func missed(now: NIODeadline) -> Set<PeerName> {
        guard let end, end <= now else { return [] }
        defer { self = PassingNames() }
        return names
    }
}
