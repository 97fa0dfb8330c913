// SPDX-License-Identifier: Apache-2.0

/// Where a client is.
struct ClientAddress: Hashable, Sendable {
    /// Its address, for the log.
    let text: String
    /// The address, or the network, whose limits it shares with everybody else there; nil when there are none.
    let share: String?
}
