// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// When a subscription's heartbeat is sent and due.
package struct HeartbeatTimes: Hashable, Sendable {
    /// From one proof of life to the next attempt at one.
    package var interval = RedisDefaults.heartbeatInterval
    /// How long that may take.
    package var timeout = RedisDefaults.heartbeatTimeout
    /// How long to wait before what could not be published is published again.
    package var retry = RedisDefaults.heartbeatRetry

    /// The times of `RedisDefaults`.
    package init() {}
}
