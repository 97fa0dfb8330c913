// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// What can be counted about a client of Redis, since its start.
package struct RedisFigures: Hashable, Sendable {
    /// Whether there is a connection now, and to which server.
    package var isConnected = false
    package var server: RedisEndpoint?
    /// Connections that were made: more than one say that Redis, its master or its slot was elsewhere for a time.
    package var connections: UInt64 = 0
    /// Commands that were replied to, and how long all of them together took.
    package var replies: UInt64 = 0
    package var waited = TimeAmount.nanoseconds(0)
    /// How long the last reply took.
    package var latency: TimeAmount?
    /// Commands that failed, an error of Redis or a missing reply.
    package var failures: UInt64 = 0
    /// How often a command was sent again because its slot was on the way to another server.
    package var redirections: UInt64 = 0

    /// Nothing yet.
    package init() {}

    mutating func replied(after time: TimeAmount) {
        replies &+= 1
        waited = .nanoseconds(waited.nanoseconds &+ time.nanoseconds)
        latency = time
    }
}
