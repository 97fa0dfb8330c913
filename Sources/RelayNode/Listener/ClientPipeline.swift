// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport
import TransferBroker

/// The handlers of a client's connection from the accept to its one request, in the order in which bytes come in.
///
/// What the request asks for then takes the place of its reader: ``ControlPipeline`` after `GET /ws`, the handlers of
/// StreamRelay for a download or an upload. TLS stays in front of all of them.
enum ClientPipeline {
    /// The PROXY header, of balancers that send one; TLS; the reader of the request.
    static func installTLS(
        on channel: any Channel, _ connection: AcceptedConnection, tls: TLSContext, services: ConnectionServices
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        if connection.sendsProxyHeader { try pipeline.addHandler(proxyHeader(of: connection, services)) }
        let observer = TLSObserver(
            limitMet: {
                services.reports.met(Limit(.tlsMessages, of: .connection), address: connection.lease.address.share)
            },
            handshakeEnded: { [counts = services.handshakes] in counts.ended($0) })
        try pipeline.addHandler(
            TLSHandler(server: tls, handshakeTimeout: Defaults.Connection.handshakeTimeout, observer: observer))
        try pipeline.addHandler(
            RelayResponder(services: services, connection: connection, purpose: .relay).reader()
        )
    }

    /// The PROXY header and the reader of the request, without TLS, for requests that are only redirected.
    static func installRedirect(
        on channel: any Channel, _ connection: AcceptedConnection, to names: RedirectNames,
        services: ConnectionServices
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        if connection.sendsProxyHeader { try pipeline.addHandler(proxyHeader(of: connection, services)) }
        try pipeline.addHandler(
            RelayResponder(services: services, connection: connection, purpose: .redirect(names)).reader()
        )
    }

    private static func proxyHeader(
        of connection: AcceptedConnection, _ services: ConnectionServices
    ) -> ProxyHeaderHandler {
        ProxyHeaderHandler(lease: connection.lease, peers: services.peers, logger: services.logger)
    }
}
