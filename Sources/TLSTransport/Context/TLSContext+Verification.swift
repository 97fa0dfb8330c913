// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

extension TLSContext {
    /// Checks what this end will show of itself as others will check it, so that a wrong file is found before it is
    /// used.
    ///
    /// - Parameters:
    ///   - path: PEM file with the certificate first, then those between it and the authority.
    ///   - authority: PEM file with the authorities that others trust.
    ///   - name: the DNS name they look for.
    /// - Throws: `TLSError`: what is wrong with the files; `identityNotTrusted` when no such authority has signed it,
    ///   or it has expired; `identityNameMismatch` when it is for other names.
    package static func checkIdentity(
        certificateChain path: String, privateKey: String, authority: String, name: String
    ) throws(TLSError) {
        // A context of its own, since building the chain changes what a context shows.
        let context = try TLSContext.server(
            certificateChain: path, privateKey: privateKey, applicationProtocols: [])
        ErrorQueue.clear()
        guard unsafe SSL_CTX_load_verify_file(context.handle, authority) == 1 else {
            let failure = ErrorQueue.drain()
            throw TLSError(
                failure.isSystem ? .trustUnreadable : .trustInvalid, subject: authority, detail: failure.text)
        }
        let flags = Int(SSL_BUILD_CHAIN_FLAG_UNTRUSTED)
        guard unsafe SSL_CTX_ctrl(context.handle, SSL_CTRL_BUILD_CERT_CHAIN, flags, nil) == 1 else {
            throw TLSError(.identityNotTrusted, subject: path, detail: ErrorQueue.drain().text)
        }
        let rules = UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS)
        guard let certificate = unsafe SSL_CTX_get0_certificate(context.handle),
            unsafe X509_check_host(certificate, name, name.utf8.count, rules, nil) == 1
        else { throw TLSError(.identityNameMismatch, subject: path, detail: "it does not name \(name)") }
    }
}
