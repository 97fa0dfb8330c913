// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import TransferBroker
import WSProtocol
import WebSocketTransport

/// The handlers of a control connection, behind TLS, in the order in which bytes come in: WebSocket frames become
/// messages (the encoder is for the way out), and ``ControlHandler`` acts on each.
package struct ControlPipeline: ControlAcceptor {
    package let services: ControlServices

    package init(services: ControlServices) {
        self.services = services
    }

    /// Adds what a control connection needs to the end of `channel`'s pipeline; on the channel's event loop, after the
    /// `101` answer was written. The challenge is sent at once.
    ///
    /// - Parameters:
    ///   - audience: the Host field of the upgrade request: what a login's signature is made for.
    ///   - client: where the client is.
    ///   - loggedIn: called on the event loop once a login holds.
    /// - Throws: `ChannelError` when the channel is closed already.
    package func install(
        on channel: any Channel, audience: String, client: ClientAddress, loggedIn: @escaping () -> Void
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        let limits = WebSocketLimits(pendingBytes: Defaults.Unread.session.bytes)
        let heartbeat = WebSocketHeartbeat(interval: .seconds(Int64(Defaults.Broker.heartbeat)))
        try WebSocketPipeline.install(on: pipeline, role: .server, limits: limits, heartbeat: heartbeat)
        try pipeline.addHandler(
            ControlHandler(services: services, audience: audience, client: client, loggedIn: loggedIn)
        )
    }
}
