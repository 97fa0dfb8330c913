// SPDX-License-Identifier: Apache-2.0

/// What the handlers of a connection tell those behind them, as inbound user events.
enum RedisEvent: Hashable, Sendable {
    /// The login is done: from here on the replies are those to the handlers' own commands.
    case ready(RedisVersion)
}
