// SPDX-License-Identifier: Apache-2.0

/// Every figure of the metrics page, of one moment.
struct MetricsSnapshot: Hashable, Sendable {
    /// What `relay-server status` says too.
    var status: ServerStatus
    /// What the exchange holds and has ended.
    var exchange: ExchangeStatus
    /// Connections of clients, of any kind.
    var connections: Int
    /// When the server started, in seconds since 1970.
    var started: Int64
}
