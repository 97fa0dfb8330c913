// SPDX-License-Identifier: Apache-2.0

import TLSTransport

/// The two PEM files a TLS server needs.
struct CertificateFiles: Hashable, Sendable {
    /// The server's certificate, and those between it and its authority.
    var chain: String
    /// The certificate's private key, not encrypted.
    var key: String

    /// Loads both, and checks that they belong together.
    /// - Parameter tickets: what session tickets are sealed with.
    /// - Throws: ``OperatorError`` in words.
    func load(tickets: TicketKeys = TicketKeys()) throws(OperatorError) -> TLSContext {
        do {
            return try TLSContext.server(
                certificateChain: chain, privateKey: key, applicationProtocols: ["http/1.1"], tickets: tickets
            )
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }
}
