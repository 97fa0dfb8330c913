// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

extension TLSContext {
    /// Loads what this end shows of itself.
    func loadIdentity(certificateChain: String, privateKey: String) throws(TLSError) {
        try loadCertificateChain(certificateChain)
        try loadPrivateKey(privateKey)
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
}
