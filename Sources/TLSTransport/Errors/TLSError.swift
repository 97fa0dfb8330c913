// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

/// What can go wrong with TLS.
///
/// Two errors are equal when their codes are. `description` is one line for people: what happened and to what; `detail`
/// is OpenSSL's own account of it, for logs.
package struct TLSError: Error, Sendable {
    /// What happened.
    package let code: Code
    /// What it happened to: a file's path, or the host name that was wanted.
    package let subject: String?
    /// What OpenSSL or the system said, if anything.
    package let detail: String?
    /// The source file in which the error was made.
    package let file: String
    /// The line in `file`.
    package let line: Int

    /// Makes an error; `file` and `line` are where this is called.
    package init(
        _ code: Code, subject: String? = nil, detail: String? = nil, file: String = #fileID, line: Int = #line
    ) {
        self.code = code
        self.subject = subject
        self.detail = detail
        self.file = file
        self.line = line
    }

    /// The constant message of the code.
    package var message: String { code.message }
}

extension TLSError: Equatable {
    /// Equal codes make equal errors.
    package static func == (left: TLSError, right: TLSError) -> Bool { left.code == right.code }
}

extension TLSError: CustomStringConvertible {
    /// The message, what it is about, and OpenSSL's message in brackets.
    package var description: String {
        var text = message
        if let subject { text += ": \(subject)" }
        if let detail { text += " (\(detail))" }
        return text
    }
}

extension TLSError {
    /// What a failed handshake means.
    ///
    /// - Parameters:
    ///   - verification: OpenSSL's verdict on the peer's certificate (`X509_V_…`).
    ///   - speaksTLS: whether the first byte of the peer can be the start of a TLS record.
    ///   - wanted: the name the peer's certificate has to be for.
    init(handshake failure: OpenSSLFailure, verification: Int, speaksTLS: Bool, wanted: String?) {
        let isOurs = failure.library == ERR_LIB_SSL
        if isOurs && failure.reason == SSL_R_CERTIFICATE_VERIFY_FAILED {
            self = TLSError(verification: verification, wanted: wanted)
        } else if !speaksTLS {
            self.init(.notTLS, detail: failure.text)
        } else if isOurs {
            self.init(Self.code(ofHandshakeReason: failure.reason), detail: failure.text)
        } else {
            self.init(.handshakeFailed, detail: failure.text)
        }
    }

    /// What a failure after the handshake means.
    init(session failure: OpenSSLFailure) {
        let isOurs = failure.library == ERR_LIB_SSL
        self.init(
            isOurs && failure.reason >= SSL_AD_REASON_OFFSET ? Self.code(ofAlert: failure.reason) : .protocolViolation,
            detail: failure.text
        )
    }

    /// What OpenSSL's verdict on a certificate means.
    init(verification: Int, wanted: String?) {
        let code: Code
        switch CInt(truncatingIfNeeded: verification) {
        case X509_V_ERR_CERT_HAS_EXPIRED: code = .certificateExpired
        case X509_V_ERR_CERT_NOT_YET_VALID: code = .certificateNotYetValid
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
            X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_SIGNATURE_FAILURE, X509_V_ERR_CERT_UNTRUSTED:
            code = .unknownAuthority
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: code = .nameMismatch
        default: code = .certificateRejected
        }
        let text = unsafe X509_verify_cert_error_string(verification)
        self.init(code, subject: wanted, detail: unsafe text.map { unsafe String(cString: $0) })
    }

    private static func code(ofHandshakeReason reason: CInt) -> Code {
        switch reason {
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST: .notTLS
        case SSL_R_NO_SHARED_CIPHER, SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_NO_SUITABLE_KEY_SHARE,
            SSL_R_NO_SHARED_GROUPS, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_PROTOCOLS_AVAILABLE:
            .nothingInCommon
        case SSL_R_NO_APPLICATION_PROTOCOL: .noCommonProtocol
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: .certificateMissing
        case SSL_AD_REASON_OFFSET...: code(ofAlert: reason)
        default: .handshakeFailed
        }
    }

    /// The alerts of RFC 8446, section 6.2, with the offset OpenSSL gives them when they come from the peer.
    private static func code(ofAlert reason: CInt) -> Code {
        switch reason - SSL_AD_REASON_OFFSET {
        case SSL_AD_BAD_CERTIFICATE, SSL_AD_UNSUPPORTED_CERTIFICATE, SSL_AD_CERTIFICATE_REVOKED,
            SSL_AD_CERTIFICATE_EXPIRED, SSL_AD_CERTIFICATE_UNKNOWN, SSL_AD_UNKNOWN_CA, SSL_AD_CERTIFICATE_REQUIRED,
            SSL_AD_ACCESS_DENIED:
            .refusedByPeer
        case SSL_AD_HANDSHAKE_FAILURE, SSL_AD_PROTOCOL_VERSION, SSL_AD_INSUFFICIENT_SECURITY: .nothingInCommon
        case SSL_AD_NO_APPLICATION_PROTOCOL: .noCommonProtocol
        default: .alertReceived
        }
    }
}
