// SPDX-License-Identifier: Apache-2.0

import WSProtocol

// What is kept in sets and dictionaries is taken from them in an order of its own, wherever that order can be seen in
// what a broker does: the order of a set depends on where in memory it is, and the same events have to lead to the
// same actions.

extension Sequence {
    /// In the order of their bytes.
    func inOrder<Kind>() -> [FixedBytes<Kind>] where Element == FixedBytes<Kind> {
        sorted { first, second in first.bytes.lexicographicallyPrecedes(second.bytes) }
    }
}

extension Sequence<SessionID> {
    /// By their nodes, and as they were opened there.
    func inOrder() -> [SessionID] {
        sorted { first, second in
            (first.node.rawValue, first.number) < (second.node.rawValue, second.number)
        }
    }
}

extension Sequence<PeerName> {
    func inOrder() -> [PeerName] { sorted { first, second in first.rawValue < second.rawValue } }
}
