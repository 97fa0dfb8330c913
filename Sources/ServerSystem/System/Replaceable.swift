// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A value that is used by many and can be replaced while they run: each use takes the one there is at that moment.
package final class Replaceable<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    package init(_ value: Value) { self.value = Mutex(value) }

    /// The value of now.
    package var current: Value { value.withLock { $0 } }

    /// Puts `new` in its place, for all uses from now on.
    package func replace(with new: Value) { value.withLock { $0 = new } }
}
