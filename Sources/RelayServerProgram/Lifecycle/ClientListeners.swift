// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import ServerSystem
import TLSTransport
import TransferBroker

/// The listeners that clients connect to: over TLS, and plain HTTP in front of it.
struct ClientListeners: ServerPart {
    private let tls: [ListeningSocket]
    private let redirects: [ListeningSocket]
    private let admission: Admission
    private let accepts: AcceptWatch

    /// Binds the addresses of the configuration.
    /// - Throws: ``OperatorError`` for the first that cannot be bound.
    static func bind(
        _ context: ServerContext, _ services: ConnectionServices
    ) async throws(OperatorError) -> ClientListeners {
        var tls: [ListeningSocket] = []
        for address in context.configuration.listen {
            tls.append(
                try await address.bind { socketAddress in
                    try await RelayListener.bind(
                        socketAddress, tls: context.tls, group: context.group, services: services
                    )
                }
            )
        }
        var redirects: [ListeningSocket] = []
        if let address = context.configuration.httpListen {
            let port = context.configuration.publicPort ?? tls.first?.address?.port ?? 443
            let publicHost = context.configuration.publicHost.map { TLSServerName(host: $0) }
            let names = RedirectNames(names: context.certificates.names + [publicHost].compactMap(\.self), port: port)
            redirects.append(
                try await address.bind { socketAddress in
                    try await RelayListener.bindRedirect(
                        socketAddress, to: names, group: context.group, services: services
                    )
                }
            )
        }
        return ClientListeners(
            tls: tls, redirects: redirects, admission: context.admission, accepts: context.accepts
        )
    }

    /// The addresses that are really bound, as HOST:PORT.
    var addresses: [String] { tls.compactMap { $0.address?.hostAndPort } }

    /// The same for plain HTTP.
    var redirectAddresses: [String] { redirects.compactMap { $0.address?.hostAndPort } }

    func start() async throws {
        // What the process has open by now is not there for connections.
        let open = accepts.openDescriptors?.now ?? 0
        admission.reserve(open + Defaults.Operations.descriptorReserve)
        for listener in tls + redirects { try await listener.accept() }
    }

    func stop() async {
        await closeTLS()
        for listener in redirects { await listener.close() }
    }

    /// Takes no client any more; plain HTTP goes on.
    func closeTLS() async {
        for listener in tls { await listener.close() }
    }
}
