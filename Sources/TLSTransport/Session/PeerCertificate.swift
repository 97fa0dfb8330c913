// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

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
