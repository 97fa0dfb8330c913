// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

extension TLSContext {
    /// Makes the context of a server.
    ///
    /// - Parameters:
    ///   - path: PEM file with the server's certificate first, then those between it and the authority.
    ///   - privateKey: PEM file with the certificate's key, not encrypted.
    ///   - applicationProtocols: ALPN names, the one liked best first; empty means that ALPN is not answered.
    /// - Throws: `TLSError`: `certificateUnreadable`, `certificateInvalid`, `keyUnreadable`, `keyInvalid`,
    ///   `keyMismatch` with the path, or `setupFailed`.
    package static func server(
        certificateChain path: String, privateKey: String, applicationProtocols: [String]
    ) throws(TLSError) -> TLSContext {
        let context = try TLSContext(role: .server, applicationProtocols: applicationProtocols)
        try context.loadCertificateChain(path)
        try context.loadPrivateKey(privateKey)
        try context.setUpTickets()
        return context
    }

    private func loadCertificateChain(_ path: String) throws(TLSError) {
        ErrorQueue.clear()
        guard unsafe SSL_CTX_use_certificate_chain_file(handle, path) != 1 else { return }
        let failure = ErrorQueue.drain()
        throw TLSError(
            failure.isSystem ? .certificateUnreadable : .certificateInvalid, subject: path, detail: failure.text)
    }

    private func loadPrivateKey(_ path: String) throws(TLSError) {
        ErrorQueue.clear()
        // Without this OpenSSL would ask on the terminal for the password of an encrypted key.
        unsafe SSL_CTX_set_default_passwd_cb(handle) { _, _, _, _ in -1 }
        if unsafe SSL_CTX_use_PrivateKey_file(handle, path, SSL_FILETYPE_PEM) != 1 {
            let failure = ErrorQueue.drain()
            let code: TLSError.Code =
                if failure.isSystem {
                    .keyUnreadable
                } else if failure.library == ERR_LIB_X509 {
                    // The file was fine: it is the comparison with the certificate that failed.
                    .keyMismatch
                } else {
                    .keyInvalid
                }
            throw TLSError(code, subject: path, detail: failure.text)
        }
        // A key of another kind than the certificate's gets as far as here.
        guard unsafe SSL_CTX_check_private_key(handle) == 1 else {
            throw TLSError(.keyMismatch, subject: path, detail: ErrorQueue.drain().text)
        }
    }

    /// Sessions are resumed by tickets, so the server keeps nothing.
    ///
    /// The keys of the tickets are OpenSSL's own and live as long as this context. Nodes that are to resume each
    /// other's sessions need common keys: `SSL_CTX_set_tlsext_ticket_key_evp_cb` belongs here.
    private func setUpTickets() throws(TLSError) {
        ErrorQueue.clear()
        unsafe COpenSSL_SSL_CTX_set_session_cache_mode(handle, Int(SSL_SESS_CACHE_OFF))
        let name = Array("relay".utf8)
        guard unsafe SSL_CTX_set_session_id_context(handle, name, UInt32(name.count)) == 1,
            unsafe SSL_CTX_set_num_tickets(handle, TLSDefaults.ticketsPerHandshake) == 1
        else { throw TLSError(.setupFailed, detail: ErrorQueue.drain().text) }
    }
}
