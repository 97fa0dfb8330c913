// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

extension TLSContext {
    /// Makes the context of a server.
    ///
    /// - Parameters:
    ///   - path: PEM file with the server's certificate first, then those between it and the authority.
    ///   - privateKey: PEM file with the certificate's key, not encrypted.
    ///   - applicationProtocols: ALPN names, the one liked best first; empty means that ALPN is not answered.
    ///   - tickets: what session tickets are sealed with; by default keys that no other context has.
    /// - Throws: `TLSError`: `certificateUnreadable`, `certificateInvalid`, `keyUnreadable`, `keyInvalid`,
    ///   `keyMismatch` with the path, or `setupFailed`.
    package static func server(
        certificateChain path: String, privateKey: String, applicationProtocols: [String],
        tickets: TicketKeys = TicketKeys()
    ) throws(TLSError) -> TLSContext {
        let context = try TLSContext(role: .server, applicationProtocols: applicationProtocols, tickets: tickets)
        try context.loadIdentity(certificateChain: path, privateKey: privateKey)
        try context.setUpTickets(for: "relay")
        return context
    }

    /// Makes the context of a server that wants a certificate of each client, for the purpose clientAuth, and lets
    /// no client in without one.
    ///
    /// - Parameters:
    ///   - clientAuthority: PEM file with the authorities that sign clients' certificates. No other is trusted.
    /// - Throws: as the other, and `trustUnreadable`, `trustInvalid` with the authority's path.
    package static func server(
        certificateChain path: String, privateKey: String, clientAuthority: String, applicationProtocols: [String],
        tickets: TicketKeys = TicketKeys()
    ) throws(TLSError) -> TLSContext {
        let context = try TLSContext(role: .server, applicationProtocols: applicationProtocols, tickets: tickets)
        try context.loadIdentity(certificateChain: path, privateKey: privateKey)
        try context.load(.file(clientAuthority))
        unsafe SSL_CTX_set_verify(context.handle, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        // A name of its own: a session that began without a client's certificate must not be resumed here.
        try context.setUpTickets(for: "relay with client certificate")
        return context
    }

    /// Sessions are resumed by tickets, so the server keeps nothing.
    ///
    /// - Parameter purpose: at most 32 bytes. Only sessions that began at a server of the same purpose are resumed.
    private func setUpTickets(for purpose: String) throws(TLSError) {
        ErrorQueue.clear()
        unsafe COpenSSL_SSL_CTX_set_session_cache_mode(handle, Int(SSL_SESS_CACHE_OFF))
        let name = Array(purpose.utf8)
        guard unsafe SSL_CTX_set_session_id_context(handle, name, UInt32(name.count)) == 1,
            unsafe SSL_CTX_set_num_tickets(handle, TLSDefaults.ticketsPerHandshake) == 1,
            let tickets, unsafe TicketSealing.use(tickets, on: handle)
        else { throw TLSError(.setupFailed, detail: ErrorQueue.drain().text) }
    }
}
