// SPDX-License-Identifier: Apache-2.0

import TLSTransport

/// The two PEM files a TLS server needs.
struct CertificateFiles: Hashable, Sendable {
    /// The server's certificate, and those between it and its authority.
    var chain: String
    /// The certificate's private key, not encrypted.
    var key: String

    /// Loads both, and checks that they belong together.
    /// - Throws: ``OperatorError`` in words.
    func load() throws(OperatorError) -> TLSContext {
        do {
            return try TLSContext.server(
                certificateChain: chain, privateKey: key, applicationProtocols: ["http/1.1"]
            )
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }
}
