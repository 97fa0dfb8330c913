// SPDX-License-Identifier: Apache-2.0

/// What can be counted about the connection of a client of Redis, since its start.
package struct RedisClientFigures: Hashable, Sendable {
    /// The server that commands go to; nil without a connection.
    package var server: RedisEndpoint?
    /// Connections that were made: more than one say that Redis, its master or its slot was elsewhere for a time.
    package var connections: UInt64 = 0
    /// How often a command was sent again because its slot was on the way to another server.
    package var redirections: UInt64 = 0

    /// Nothing yet.
    package init() {}
}
