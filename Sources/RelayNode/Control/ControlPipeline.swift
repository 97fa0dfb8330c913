// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import TransferBroker
package import WSProtocol
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

/// Takes over a connection that became a WebSocket.
package protocol ControlAcceptor: Sendable {
    /// Adds what a control connection needs to the end of `channel`'s pipeline; on the channel's event loop, after the
    /// `101` answer was written.
    ///
    /// - Parameters:
    ///   - audience: the Host field of the upgrade request: what a login's signature is made for.
    ///   - client: where the client is.
    ///   - loggedIn: called on the event loop once a login holds; until then the connection counts as unauthenticated.
    func install(
        on channel: any Channel, audience: String, client: ClientAddress, loggedIn: @escaping () -> Void
    ) throws
}

/// What every control connection needs of the node. All of it is said at once: what is forgotten does not compile.
package struct ControlServices: Sendable {
    package var broker: BrokerService
    package var directory: any UserDirectory
    /// Who may claim a new name, as the challenge says it.
    package var registration: ServerMessage.Registration
    /// This program and its version.
    package var agent: Label
    package var logger: Logger
    /// How much clients may say.
    package var budgets: MessageBudgets
    /// What they leave unread.
    package var unread: UnreadBytes
    /// The names that they register.
    package var newNames: NewNames
    /// The limits that operators have set.
    package var limits: LimitControl
    /// How much each user moves.
    package var traffic: TrafficLedger
    /// Who is told of limits that are met.
    package var reports: LimitReports

    package init(
        broker: BrokerService, directory: any UserDirectory, registration: ServerMessage.Registration,
        agent: Label, logger: Logger, budgets: MessageBudgets, unread: UnreadBytes, newNames: NewNames,
        limits: LimitControl, traffic: TrafficLedger, reports: LimitReports
    ) {
        self.broker = broker
        self.directory = directory
        self.registration = registration
        self.agent = agent
        self.logger = logger
        self.budgets = budgets
        self.unread = unread
        self.newNames = newNames
        self.limits = limits
        self.traffic = traffic
        self.reports = reports
    }
}
