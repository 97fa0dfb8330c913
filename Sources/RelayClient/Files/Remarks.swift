// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Tells the person what is not right about a folder although nothing has failed. What is true of every file there is said
/// once, not with each of them.
final class Remarks: Sendable {
    /// What is said once.
    enum Kind: Hashable, Sendable {
        case permissions
        case durability
    }

    private let tell: @Sendable (String) -> Void
    private let said = Mutex<Set<Kind>>([])

    /// `tell` gets a sentence; names in it are escaped already.
    init(_ tell: @escaping @Sendable (String) -> Void) { self.tell = tell }

    /// Says `sentence`, unless it is of a kind that was said before.
    func say(_ sentence: String, once kind: Kind? = nil) {
        if let kind, !said.withLock({ said in said.insert(kind).inserted }) { return }
        tell(sentence)
    }

    /// Another folder is used from now on, of which other things may be true.
    func reset() { said.withLock { said in said.removeAll() } }
}
