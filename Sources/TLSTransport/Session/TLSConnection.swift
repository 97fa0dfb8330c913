// SPDX-License-Identifier: Apache-2.0

private import COpenSSL
internal import NIOCore

/// One TLS session: plaintext on one side, ciphertext in byte buffers on the other. Knows nothing of channels.
///
/// Owns the SSL and the ciphertext on its way. Belongs to one thread at a time; `TLSHandover` moves it to another.
@safe
final class TLSConnection {
    /// Settings; kept here because OpenSSL's callbacks point into them.
    let context: TLSContext
    /// The name the server's certificate must have; nil at a server.
    let serverName: TLSServerName?
    /// The ciphertext between channel and OpenSSL.
    let store = CiphertextStore()
    /// Whether memory that is not needed right now is given back.
    private(set) var releasesBuffers = false
    /// Counts what the peer says without saying anything.
    let messages: MessagePace
    /// Where the client's cache keeps the session, which OpenSSL's callback is given; nil at a server.
    private let slot: SessionCache.Slot?
    /// The SSL. Freed in `deinit`, before `store`, `messages` and `context`, which it points to.
    private let ssl: OpaquePointer

    /// Makes a session at the server's end.
    init(server context: TLSContext) throws(TLSError) {
        unsafe self.ssl = try unsafe Self.makeSSL(context, over: store)
        self.context = context
        self.serverName = nil
        self.slot = nil
        messages = MessagePace(store)
        unsafe messages.watch(ssl)
        unsafe SSL_set_accept_state(ssl)
    }

    /// Makes a session at the client's end that accepts only a certificate for `serverName`.
    ///
    /// - Parameter port: tells servers on one host apart in the session cache.
    init(client context: TLSContext, serverName: TLSServerName, port: Int?) throws(TLSError) {
        unsafe self.ssl = try unsafe Self.makeSSL(context, over: store)
        self.context = context
        self.serverName = serverName
        let key = port.map { "\(serverName):\($0)" } ?? "\(serverName)"
        let slot = SessionCache.Slot(context.cache, server: key)
        self.slot = slot
        messages = MessagePace(store)
        unsafe messages.watch(ssl)
        unsafe SSL_set_connect_state(ssl)
        try expect(serverName)
        unsafe _ = COpenSSL_SSL_set_app_data(ssl, Unmanaged.passUnretained(slot).toOpaque())
        unsafe context.cache.resume(key, on: ssl)
    }

    deinit {
        unsafe SSL_free(ssl)
    }

    private static func makeSSL(_ context: TLSContext, over store: CiphertextStore) throws(TLSError) -> OpaquePointer {
        ErrorQueue.clear()
        guard let ssl = unsafe SSL_new(context.handle) else {
            throw TLSError(.setupFailed, detail: ErrorQueue.drain().text)
        }
        guard let bio = unsafe ByteBIO.make(over: store) else {
            unsafe SSL_free(ssl)
            throw TLSError(.setupFailed, detail: ErrorQueue.drain().text)
        }
        // One reference is enough for both directions, and passes to the SSL.
        unsafe SSL_set_bio(ssl, bio, bio)
        return unsafe ssl
    }

    /// Sets what the certificate is compared with, and SNI.
    private func expect(_ name: TLSServerName) throws(TLSError) {
        ErrorQueue.clear()
        let isSet: Bool
        switch name {
        case .dns(let host):
            // A name in the subject says nothing (RFC 9525, section 2).
            let flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT
            unsafe SSL_set_hostflags(ssl, UInt32(flags))
            isSet =
                unsafe !host.isEmpty && !host.utf8.contains(0) && SSL_set1_host(ssl, host) == 1
                && COpenSSL_SSL_set_tlsext_host_name(ssl, host) == 1
        case .ip(let address):
            isSet = unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address) == 1
        }
        guard isSet else {
            throw TLSError(.setupFailed, subject: name.description, detail: ErrorQueue.drain().text)
        }
    }

    /// What one call of OpenSSL came to.
    private enum CallResult {
        case done
        case wantsCiphertext
        case endOfData
        case failed(OpenSSLFailure)
    }

    /// Every call that does TLS goes through here: it needs an empty error queue before, and its error is asked for
    /// right after, on the same thread (SSL_get_error(3)).
    @inline(__always)
    @safe
    private func guarded(_ call: (OpaquePointer) -> CInt) -> CallResult {
        ErrorQueue.clear()
        let result = unsafe call(ssl)
        if result > 0 { return .done }
        switch unsafe SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .wantsCiphertext
        case SSL_ERROR_ZERO_RETURN: return .endOfData
        default: return .failed(ErrorQueue.drain())
        }
    }

    /// What a step of the handshake came to.
    enum HandshakeResult: Equatable {
        /// The peer has to say something first.
        case incomplete
        case complete
        case failed(TLSError)
    }

    /// Takes the handshake as far as the ciphertext that is there allows.
    func handshake() -> HandshakeResult {
        let result = guarded { unsafe SSL_do_handshake($0) }
        guard !messages.isExceeded else { return .failed(TLSError(.messageLimit)) }
        switch result {
        case .done: return .complete
        case .wantsCiphertext: return .incomplete
        case .endOfData: return .failed(TLSError(.closedDuringHandshake))
        case .failed(let failure):
            return .failed(
                TLSError(
                    handshake: failure, verification: unsafe SSL_get_verify_result(ssl),
                    speaksTLS: looksLikeTLS, wanted: serverName?.description))
        }
    }

    /// Whether the peer began as TLS begins: with a handshake record or an alert (RFC 8446, section 5.1).
    var looksLikeTLS: Bool {
        guard let first = store.firstByte else { return true }
        return first == UInt8(SSL3_RT_HANDSHAKE) || first == UInt8(SSL3_RT_ALERT)
    }

    /// What reading came to.
    enum ReadResult: Equatable {
        /// All complete records are decrypted.
        case drained
        /// The buffer is full; there may be more.
        case full
        /// As `drained`, and the last record was the peer's close_notify.
        case closed
        case failed(TLSError)
    }

    /// Decrypts into `plaintext`, in place of what it held, until no ciphertext is left or there are `limit` bytes;
    /// also when it fails further on.
    func read(into plaintext: inout ByteBuffer, limit: Int) -> ReadResult {
        let wanted = releasesBuffers ? store.inbound.readableBytes : limit
        plaintext.clear(minimumCapacity: min(max(wanted, TLSDefaults.smallReadSpace), limit))
        let limit = min(limit, plaintext.writableBytes)
        while plaintext.readableBytes < limit {
            let room = limit - plaintext.readableBytes
            var result = CallResult.wantsCiphertext
            unsafe plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { space in
                var count = 0
                result = guarded { unsafe SSL_read_ex($0, space.baseAddress, min(space.count, room), &count) }
                return count
            }
            guard !messages.isExceeded else { return .failed(TLSError(.messageLimit)) }
            switch result {
            case .done: continue
            case .wantsCiphertext:
                store.releaseInbound()
                return .drained
            case .endOfData:
                store.releaseInbound()
                return .closed
            case .failed(let failure): return .failed(TLSError(session: failure))
            }
        }
        return .full
    }

    /// Encrypts all of `plaintext` to the end of the outbound ciphertext. Returns what went wrong, if anything did.
    func write(_ plaintext: ByteBuffer) -> TLSError? {
        let count = plaintext.readableBytes
        guard count > 0 else { return nil }
        store.reserveOutbound(count + (count / TLSDefaults.recordLength + 1) * TLSDefaults.recordOverhead)
        let result = unsafe plaintext.withUnsafeReadableBytes { bytes in
            var written = 0
            // OpenSSL cuts it into records. The BIO takes everything, so it is all or nothing.
            return guarded { unsafe SSL_write_ex($0, bytes.baseAddress, bytes.count, &written) }
        }
        switch result {
        case .done: return nil
        case .wantsCiphertext, .endOfData: return TLSError(.protocolViolation, detail: "nothing can be written now")
        case .failed(let failure): return TLSError(session: failure)
        }
    }

    /// Appends close_notify (RFC 8446, section 6.1). Never to be called after a failure.
    func sendCloseNotify() {
        // 0 means that the peer has not sent its own yet, which is not waited for; an error would change nothing.
        _ = guarded { unsafe SSL_shutdown($0) }
    }

    /// Makes OpenSSL free its buffers whenever they are empty: less memory for connections that are mostly idle, more
    /// work for busy ones.
    func releaseBuffersWhenIdle() {
        releasesBuffers = true
        unsafe COpenSSL_SSL_set_mode(ssl, Int(SSL_MODE_RELEASE_BUFFERS))
    }

    /// Asks for a new key in both directions (RFC 8446, section 4.6.3). For tests: OpenSSL does it by itself when due.
    func requestKeyUpdate() -> Bool {
        ErrorQueue.clear()
        guard unsafe SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 else { return false }
        if case .done = guarded({ unsafe SSL_do_handshake($0) }) { return true }
        return false
    }

    /// What the handshake agreed on; only after it is complete.
    var summary: TLSHandshakeSummary {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &name, &length)
        let chosen = unsafe name.map {
            unsafe String(decoding: UnsafeBufferPointer(start: $0, count: Int(length)), as: UTF8.self)
        }
        return TLSHandshakeSummary(
            version: unsafe String(cString: SSL_get_version(ssl)),
            cipher: unsafe String(cString: SSL_CIPHER_get_name(SSL_get_current_cipher(ssl))),
            applicationProtocol: chosen,
            isResumed: unsafe SSL_session_reused(ssl) == 1,
            peerNames: unsafe PeerCertificate.names(of: ssl)
        )
    }
}

/// What is read out of the certificate of the other side, once the handshake has checked it.
enum PeerCertificate {
    /// The DNS names of its subjectAltName, as they are written there: no more than `TLSDefaults.peerNames` of them.
    ///
    /// A session that was resumed has the names of the handshake it began with.
    static func names(of ssl: OpaquePointer) -> [String] {
        guard let certificate = unsafe SSL_get0_peer_certificate(ssl) else { return [] }
        return unsafe AlternativeNames.dns(of: certificate, limit: TLSDefaults.peerNames)
    }
}

/// What a handshake agreed on.
package struct TLSHandshakeSummary: Hashable, Sendable {
    /// The protocol version as OpenSSL writes it: `TLSv1.2` or `TLSv1.3`.
    package let version: String
    /// The cipher suite as OpenSSL writes it, such as `TLS_AES_128_GCM_SHA256`.
    package let cipher: String
    /// The application protocol ALPN chose, or nil if it was not used.
    package let applicationProtocol: String?
    /// Whether an earlier session was resumed, without certificates.
    package let isResumed: Bool
    /// The DNS names of the other side's certificate, checked by then; empty when it has shown none. At most
    /// `TLSDefaults.peerNames`.
    package let peerNames: [String]
}
