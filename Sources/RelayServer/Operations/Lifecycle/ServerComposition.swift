// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Puts one node together: who keeps the transfers, the byte path, and the listeners in front of both.
enum ServerComposition {
    /// Makes the parts and binds the listeners.
    /// - Throws: ``OperatorError`` when an address cannot be bound.
    static func compose(_ context: ServerContext) async throws -> ServerParts {
        let streams = StreamTable()
        let exchange = ExchangeService(streams: streams, logger: context.logger)
        streams.onEmptied { [weak exchange] in exchange?.streamsEmptied() }
        exchange.startSweeping(on: context.group.next())
        guard let agent = Label(rawValue: "relay-server/\(ProgramVersion.current)") else {
            throw OperatorError(.configuration, "the program's version is not printable")
        }
        let control = ControlServices(
            exchange: exchange, directory: context.users, registration: context.configuration.registration,
            agent: agent, logger: context.logger
        )
        let admission = Admission(descriptorLimit: context.descriptorLimit)
        let services = ConnectionServices(
            transfers: exchange, streams: streams, admission: admission,
            control: ControlPipeline(services: control), logger: context.logger,
            peers: TrustedPeers(
                sendingHeader: context.configuration.proxyProtocol, sendingField: context.configuration.trustedProxy
            )
        )
        var parts = ServerParts(
            listeners: [], exchange: exchange, beginDrain: { admission.beginDrain() },
            whenEmpty: { admission.whenEmpty($0) }
        )
        for address in context.configuration.listen {
            let socketAddress = try address.resolved()
            do {
                parts.listeners.append(
                    try await RelayListener.bind(
                        socketAddress, tls: context.tls, group: context.group, services: services
                    )
                )
            } catch {
                throw address.failure(error)
            }
        }
        if let address = context.configuration.httpListen {
            let port = context.configuration.publicPort ?? parts.listeners.first?.address?.port ?? 443
            let socketAddress = try address.resolved()
            do {
                parts.redirects.append(
                    try await RelayListener.bindRedirect(
                        socketAddress, toPort: port, group: context.group, services: services
                    )
                )
            } catch {
                throw address.failure(error)
            }
        }
        return parts
    }
}

extension RelayListener: BoundListener {}

extension ExchangeService: Drainable {}
