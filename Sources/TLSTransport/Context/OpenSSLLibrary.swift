// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

/// The library itself.
enum OpenSSLLibrary {
    /// Whether it can be used. The first to ask sets it up.
    ///
    /// By itself OpenSSL frees everything when the process calls `exit` (OPENSSL_init_crypto(3)), while event loops of
    /// other threads are still in the middle of a handshake. The kernel frees it as well, and later.
    static let isReady = OPENSSL_init_ssl(UInt64(OPENSSL_INIT_NO_ATEXIT), nil) == 1
}
