// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import ServerSystem
import TLSTransport
import TransferBroker

/// The listeners that clients connect to: over TLS, and plain HTTP in front of it.
struct ClientListeners: ServerPart {
    /// A listener, and the address it was configured with; nil for a socket of the service manager.
    struct Listener: Sendable {
        let purpose: InheritedSockets.Purpose
        let configured: String?
        let socket: ListeningSocket
    }

    private let tls: [Listener]
    private let redirects: [Listener]
    private let admission: Admission
    private let accepts: AcceptWatch
    /// Whether connections may have a file open beside themselves.
    private let servesFiles: Bool

    /// Binds the addresses of the configuration, but for those that another process has bound for this one.
    /// - Throws: ``OperatorError`` for the first that cannot be bound.
    static func bind(
        _ context: ServerContext, _ services: ConnectionServices
    ) async throws(OperatorError) -> ClientListeners {
        let tls = try await listeners(.https, context.configuration.listen, context.inherited) { endpoint in
            try await RelayListener.bind(endpoint, tls: context.tls, loops: context.listenerLoops, services: services)
        }
        let configuration = context.configuration
        let port = configuration.publicPort ?? tls.first?.socket.address?.port ?? 443
        let publicHost = configuration.publicHost.map { TLSServerName(host: $0) }
        let names = RedirectNames(
            names: context.certificates.current.names + [publicHost].compactMap(\.self), port: port)
        let redirects = try await listeners(
            .http, [configuration.httpListen].compactMap(\.self), context.inherited
        ) { endpoint in
            try await RelayListener.bindRedirect(endpoint, to: names, loops: context.listenerLoops, services: services)
        }
        return ClientListeners(
            tls: tls, redirects: redirects, admission: context.admission, accepts: context.accepts,
            servesFiles: context.configuration.site != nil
        )
    }

    private static func listeners(
        _ purpose: InheritedSockets.Purpose, _ addresses: [ListenAddress], _ inherited: InheritedSockets,
        _ bind: (ListeningSocket.Endpoint) async throws -> ListeningSocket
    ) async throws(OperatorError) -> [Listener] {
        var listeners: [Listener] = []
        for descriptor in inherited.chosen(purpose) {
            do {
                let socket = try await bind(.inherited(descriptor))
                listeners.append(Listener(purpose: purpose, configured: nil, socket: socket))
            } catch {
                throw OperatorError(.configuration, "a socket for \(purpose.rawValue) cannot be used: \(error)")
            }
        }
        guard listeners.isEmpty else { return listeners }
        for address in addresses {
            let socket = try await address.bind(purpose, inherited, bind)
            listeners.append(Listener(purpose: purpose, configured: "\(address)", socket: socket))
        }
        return listeners
    }

    /// All listeners for clients.
    var all: [Listener] { tls + redirects }

    /// The addresses that are really bound, as HOST:PORT.
    var addresses: [String] { tls.compactMap { $0.socket.address?.hostAndPort } }

    /// The addresses that are really bound for plain HTTP, as HOST:PORT.
    var redirectAddresses: [String] { redirects.compactMap { $0.socket.address?.hostAndPort } }

    func start() async throws {
        // What the process has open by now is not there for connections.
        let open = accepts.openDescriptors?.now ?? 0
        admission.reserve(open + Defaults.Operations.descriptorReserve + (servesFiles ? Defaults.Site.files : 0))
        for listener in all { try await listener.socket.accept() }
    }

    func stop() async {
        await closeTLS()
        for listener in redirects { await listener.socket.close() }
    }

    /// Takes no client any more; plain HTTP goes on.
    func closeTLS() async {
        for listener in tls { await listener.socket.close() }
    }
}
