// SPDX-License-Identifier: Apache-2.0

/// The parts of a server that serves, as far as its start and its end need them.
struct ServerParts: Sendable {
    /// The listeners of the relay itself, over TLS.
    var listeners: [any BoundListener]
    /// The listeners of plain HTTP.
    var redirects: [any BoundListener] = []
    /// Who keeps sessions and transfers.
    var exchange: any Drainable
    /// Refuses new connections' requests from now on (control connections, and `/healthz` as ready).
    var beginDrain: @Sendable () -> Void
    /// Connections of any kind that are open now.
    var openConnections: @Sendable () -> Int
}
