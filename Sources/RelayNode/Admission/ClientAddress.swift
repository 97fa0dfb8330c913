// SPDX-License-Identifier: Apache-2.0

/// Where a client is.
package struct ClientAddress: Hashable, Sendable {
    /// Its address, for the log.
    package let text: String
    /// The address, or the network, whose limits it shares with all other clients there; nil when there are none.
    package let share: String?
}
