// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What the end of the server asks of the service that keeps sessions and transfers. Safe to call from any thread.
protocol Drainable: Sendable {
    /// Transfers that a receiver has accepted and that are not over.
    var activeTransfers: Int { get }
    /// Control connections.
    var connections: Int { get }
    /// Refuses new offers and accepts from now on; what was accepted goes on.
    func beginDrain()
    /// Calls `callback` once, as soon as no accepted transfer is left; at once when there is none.
    func whenIdle(_ callback: @escaping @Sendable () -> Void)
    /// Closes every control connection, which ends what transfers they still have.
    func closeAllSessions(_ code: WebSocketCloseCode)
    /// Closes the sessions of a name that was removed from the users' registry.
    func nameRemoved(_ name: PeerName)
}
