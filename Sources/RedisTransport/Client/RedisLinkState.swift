// SPDX-License-Identifier: Apache-2.0

/// Whether there is a connection, as the owner of a client or of a subscription is told.
package enum RedisLinkState: Sendable {
    /// It stands: commands can be sent, or all channels are subscribed. Each has a number higher than the one before.
    case connected(generation: Int, version: RedisVersion)
    /// It ended, or an attempt failed: a `RedisError` or a `RedisRefusal`. It is being tried again.
    case disconnected(any Error)
}
