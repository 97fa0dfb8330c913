// SPDX-License-Identifier: Apache-2.0

extension TLSError {
    /// The kind of an error. New ones can be added without breaking a caller's `switch`.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code's name.
        package let description: String
        /// What happened, for a user, without the names of files or hosts.
        let message: String

        private init(_ name: String, _ message: String) {
            self.description = name
            self.message = message
        }

        // What is wrong with files and settings.

        /// The certificate file cannot be opened or read.
        package static let certificateUnreadable = Code("certificateUnreadable", "cannot read the certificate file")
        /// The certificate file is not PEM, or has no certificate.
        package static let certificateInvalid = Code(
            "certificateInvalid", "the certificate file holds no valid PEM certificate")
        /// The key file cannot be opened or read.
        package static let keyUnreadable = Code("keyUnreadable", "cannot read the private key file")
        /// The key file is not PEM, has no key, or is encrypted.
        package static let keyInvalid = Code(
            "keyInvalid", "the private key file holds no valid, unencrypted PEM key")
        /// The private key is not the one the certificate was made for.
        package static let keyMismatch = Code("keyMismatch", "the private key does not belong to the certificate")
        /// The CA file cannot be opened or read.
        package static let trustUnreadable = Code("trustUnreadable", "cannot read the CA certificate file")
        /// The CA file is not PEM, or has no certificate.
        package static let trustInvalid = Code(
            "trustInvalid", "the CA certificate file holds no valid PEM certificate")
        /// The certificate this end is to show will not be believed by those who trust the given authority.
        package static let identityNotTrusted = Code(
            "identityNotTrusted", "the certificate is not signed by the given authority, or has expired")
        /// The certificate this end is to show is for other names.
        package static let identityNameMismatch = Code(
            "identityNameMismatch", "the certificate is not for the wanted name")
        /// OpenSSL refused one of our settings, or is out of memory.
        package static let setupFailed = Code("setupFailed", "OpenSSL could not be set up")

        // What is wrong with the peer's certificate.

        /// The peer's certificate, or one above it, has expired.
        package static let certificateExpired = Code(
            "certificateExpired", "the certificate of the other side has expired")
        /// The peer's certificate is valid only from a later time on.
        package static let certificateNotYetValid = Code(
            "certificateNotYetValid", "the certificate of the other side is not valid yet; is the clock right?")
        /// No authority we trust has signed the peer's certificate.
        package static let unknownAuthority = Code(
            "unknownAuthority", "the certificate of the other side is not signed by an authority we trust")
        /// The peer's certificate is for other names.
        package static let nameMismatch = Code(
            "nameMismatch", "the certificate of the other side is not for the wanted name")
        /// The client was asked for a certificate and has shown none.
        package static let certificateMissing = Code(
            "certificateMissing", "the other side has shown no certificate, and needs one here")
        /// Another rule of X.509 is broken.
        package static let certificateRejected = Code(
            "certificateRejected", "the certificate of the other side is not acceptable")

        // What is wrong with the conversation.

        /// What came first cannot be TLS.
        package static let notTLS = Code("notTLS", "the other side does not speak TLS")
        /// No common version, cipher suite or group.
        package static let nothingInCommon = Code(
            "nothingInCommon", "the two sides have no TLS version and cipher suite in common")
        /// ALPN found no common protocol (RFC 7301, section 3.2).
        package static let noCommonProtocol = Code(
            "noCommonProtocol", "the two sides have no application protocol in common")
        /// The peer refused our certificate, or wanted one and got none.
        package static let refusedByPeer = Code("refusedByPeer", "the other side refused our certificate")
        /// The peer ended the session with a fatal alert.
        package static let alertReceived = Code("alertReceived", "the other side ended the TLS session with an alert")
        /// The peer closed the connection before the handshake was complete.
        package static let closedDuringHandshake = Code(
            "closedDuringHandshake", "the other side closed the connection during the TLS handshake")
        /// The handshake took too long.
        package static let handshakeTimeout = Code(
            "handshakeTimeout", "the TLS handshake was not complete in time")
        /// The handshake failed in another way.
        package static let handshakeFailed = Code("handshakeFailed", "the TLS handshake failed")
        /// A record or message of the peer is not what TLS allows.
        package static let protocolViolation = Code(
            "protocolViolation", "the other side broke the rules of TLS, or the data was changed on the way")
        /// The peer sends messages of TLS's own without pause.
        package static let messageLimit = Code(
            "messageLimit", "the other side sent more key updates and alerts than any program needs")
        /// The session is closed, or was handed over.
        package static let closed = Code("closed", "the TLS session is closed")
        /// Too much was written before the handshake was complete.
        package static let earlyWriteLimit = Code(
            "earlyWriteLimit", "too much was written before the TLS handshake was complete")
    }
}
