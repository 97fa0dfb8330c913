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
    /// Calls back once, as soon as no connection of any kind is open.
    var whenEmpty: @Sendable (_ callback: @escaping @Sendable () -> Void) -> Void
}
