// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

extension TLSContext {
    /// Makes the context of a client. A server's certificate is always verified; there is no way to turn that off.
    ///
    /// - Parameters:
    ///   - trust: whose signature on the server's certificate is good enough.
    ///   - applicationProtocols: ALPN names to offer, the one liked best first; may be empty.
    /// - Throws: `TLSError`: `trustUnreadable`, `trustInvalid` with the path, or `setupFailed`.
    package static func client(trust: TLSTrust, applicationProtocols: [String]) throws(TLSError) -> TLSContext {
        let context = try TLSContext(role: .client, applicationProtocols: applicationProtocols)
        unsafe SSL_CTX_set_verify(context.handle, SSL_VERIFY_PEER, nil)
        try context.load(trust)
        context.keepSessions()
        return context
    }

    /// Makes the context of a client that shows a certificate of its own when it is asked for one.
    ///
    /// - Parameters:
    ///   - path: PEM file with the client's certificate first, then those between it and the authority.
    ///   - privateKey: PEM file with the certificate's key, not encrypted.
    /// - Throws: as the other, and what `server` throws about certificate and key.
    package static func client(
        trust: TLSTrust, certificateChain path: String, privateKey: String, applicationProtocols: [String]
    ) throws(TLSError) -> TLSContext {
        let context = try client(trust: trust, applicationProtocols: applicationProtocols)
        try context.loadIdentity(certificateChain: path, privateKey: privateKey)
        return context
    }

    /// Sets whose signature on the other side's certificate is good enough.
    func load(_ trust: TLSTrust) throws(TLSError) {
        ErrorQueue.clear()
        switch trust {
        case .system:
            guard unsafe SSL_CTX_set_default_verify_paths(handle) == 1 else {
                throw TLSError(.setupFailed, detail: ErrorQueue.drain().text)
            }
        case .file(let path):
            guard unsafe SSL_CTX_load_verify_file(handle, path) != 1 else { return }
            let failure = ErrorQueue.drain()
            throw TLSError(failure.isSystem ? .trustUnreadable : .trustInvalid, subject: path, detail: failure.text)
        }
    }

    /// Sends each session a server lets us resume to `cache`.
    ///
    /// OpenSSL's own cache of a client cannot look sessions up by the server's name, so it stays off.
    private func keepSessions() {
        unsafe COpenSSL_SSL_CTX_set_session_cache_mode(
            handle, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL))
        unsafe SSL_CTX_sess_set_new_cb(handle) { ssl, session in
            guard let ssl = unsafe ssl, let session = unsafe session,
                let address = unsafe COpenSSL_SSL_get_app_data(ssl)
            else { return 0 }
            // 1 says that the reference this call came with is ours from now on.
            unsafe Unmanaged<SessionCache.Slot>.fromOpaque(address)._withUnsafeGuaranteedRef { unsafe $0.keep(session) }
            return 1
        }
    }
}
