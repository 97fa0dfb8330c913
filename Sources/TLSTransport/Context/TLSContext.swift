// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

/// The settings all TLS sessions of one kind share: certificate and key, or what to trust; versions, suites, groups.
///
/// Make one for a listener or a client and use it for each connection. It never changes: new certificates mean a new
/// context, and connections keep the one they were made with.
// SAFETY: nothing here changes after init; OpenSSL makes sessions from one SSL_CTX on any number of threads and counts
// its references atomically; the session cache and the ticket keys have locks of their own.
@safe
package final class TLSContext: @unchecked Sendable {
    /// Which end of a connection a context is for.
    enum Role: Hashable, Sendable {
        case server
        case client
    }

    /// The end this context is for.
    let role: Role
    /// Where a client keeps sessions it can resume.
    let cache = SessionCache()
    /// Owner of one reference to the SSL_CTX.
    let handle: OpaquePointer
    private let protocols: ApplicationProtocols
    /// A server's keys of session tickets; kept here because OpenSSL's callback points to them.
    let tickets: TicketKeys?

    /// Makes a context with everything that is the same for both ends.
    init(role: Role, applicationProtocols: [String], tickets: TicketKeys? = nil) throws(TLSError) {
        guard OpenSSLLibrary.isReady else { throw TLSError(.setupFailed, detail: "the library cannot be set up") }
        ErrorQueue.clear()
        guard let protocols = ApplicationProtocols(applicationProtocols) else {
            throw TLSError(.setupFailed, detail: "a name of an application protocol has 1 to 255 bytes")
        }
        let method = unsafe role == .server ? TLS_server_method() : TLS_client_method()
        guard let handle = unsafe SSL_CTX_new(method) else {
            throw TLSError(.setupFailed, detail: ErrorQueue.drain().text)
        }
        self.role = role
        self.protocols = protocols
        self.tickets = tickets
        unsafe self.handle = handle
        // From here on deinit frees the handle, whatever happens.
        let isSet =
            unsafe COpenSSL_SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION) == 1
            && SSL_CTX_set_cipher_list(handle, Self.suitesOfTLS12) == 1
            && SSL_CTX_set_ciphersuites(handle, Self.suitesOfTLS13) == 1
            && COpenSSL_SSL_CTX_set1_groups_list(handle, Self.groups) == 1
        guard isSet else { throw TLSError(.setupFailed, detail: ErrorQueue.drain().text) }
        // Without SSL_OP_CIPHER_SERVER_PREFERENCE the client's order counts: a telephone knows best what it can do
        // fast. Renegotiation and compression have been attacked; early data can be replayed and stays off.
        unsafe SSL_CTX_set_options(handle, COpenSSL_SSL_OP_NO_RENEGOTIATION() | COpenSSL_SSL_OP_NO_COMPRESSION())
        unsafe SSL_CTX_set_max_early_data(handle, 0)
        unsafe COpenSSL_SSL_CTX_set_read_ahead(handle, 1)
        unsafe SSL_CTX_set_default_read_buffer_len(handle, TLSDefaults.readBufferLength)
        switch role {
        case .server: unsafe protocols.select(on: handle)
        case .client:
            guard unsafe protocols.offer(on: handle) else {
                throw TLSError(.setupFailed, detail: ErrorQueue.drain().text)
            }
        }
    }

    deinit { unsafe SSL_CTX_free(handle) }

    // Mozilla's intermediate configuration, guideline 5.7: forward secrecy and authenticated encryption only.
    private static let suitesOfTLS12 = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")
    // AES-128 comes first because it costs a relay least.
    private static let suitesOfTLS13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    // Said explicitly: OpenSSL's own list has X448 and P-521, which Mozilla's check refuses.
    private static let groups = "X25519:P-256:P-384"
}

/// The library itself.
enum OpenSSLLibrary {
    /// Whether it can be used. The first to ask sets it up.
    ///
    /// By itself OpenSSL frees everything when the process calls `exit` (OPENSSL_init_crypto(3)), while event loops of
    /// other threads are still in the middle of a handshake. The kernel frees it as well, and later.
    static let isReady = OPENSSL_init_ssl(UInt64(OPENSSL_INIT_NO_ATEXIT), nil) == 1
}
