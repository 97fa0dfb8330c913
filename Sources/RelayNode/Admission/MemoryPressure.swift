// SPDX-License-Identifier: Apache-2.0

/// How near the process is to the end of its memory budget.
package enum MemoryPressure: Int, Comparable, Sendable {
    case none
    /// New transfers are refused: what runs needs the rest.
    case high
    /// New connections are refused as well.
    case critical

    package static func < (first: MemoryPressure, second: MemoryPressure) -> Bool { first.rawValue < second.rawValue }
}
