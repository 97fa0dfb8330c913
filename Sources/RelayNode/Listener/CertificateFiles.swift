// SPDX-License-Identifier: Apache-2.0

package import ServerSystem
package import TLSTransport

/// The two PEM files a TLS server needs.
package struct CertificateFiles: Hashable, Sendable {
    /// The server's certificate, and those between it and its authority.
    package var chain: String
    /// The certificate's private key, not encrypted.
    package var key: String

    package init(chain: String, key: String) {
        self.chain = chain
        self.key = key
    }

    /// Whether both can be loaded, and belong together.
    /// - Throws: ``OperatorError`` when not.
    package func check() throws(OperatorError) { _ = try load(tickets: TicketKeys()) }

    /// Loads both, and checks that they belong together.
    /// - Parameter tickets: what session tickets are sealed with.
    /// - Throws: ``OperatorError``.
    package func load(tickets: TicketKeys) throws(OperatorError) -> TLSContext {
        do {
            return try TLSContext.server(
                certificateChain: chain, privateKey: key, applicationProtocols: ["http/1.1"], tickets: tickets
            )
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }
}
