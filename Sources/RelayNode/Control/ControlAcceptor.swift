// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Takes over a connection that became a WebSocket.
package protocol ControlAcceptor: Sendable {
    /// Adds what a control connection needs to the end of `channel`'s pipeline; on the channel's event loop, after the
    /// `101` answer was written.
    ///
    /// - Parameters:
    ///   - audience: the Host field of the upgrade request: what a login's signature is made for.
    ///   - client: where the client is.
    ///   - loggedIn: called on the event loop once a login holds; until then the client is a stranger.
    func install(
        on channel: any Channel, audience: String, client: ClientAddress, loggedIn: @escaping () -> Void
    ) throws
}
