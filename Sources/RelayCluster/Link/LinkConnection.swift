// SPDX-License-Identifier: Apache-2.0

/// One connection of a link, or an attempt at one: numbers are never used twice.
enum LinkConnection: Hashable, Sendable {
    /// One that this node dials.
    case outbound(UInt64)
    /// One that the other node dialled.
    case inbound(UInt64)
}
