// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

/// Makes OpenSSL seal and open session tickets with our keys: the scheme of RFC 5077, section 4, which every server
/// uses.
enum TicketSealing {
    /// What the callback may answer (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)).
    private enum Answer {
        static let failed: CInt = -1
        /// No ticket is made, or this one cannot be opened: the handshake is a full one.
        static let without: CInt = 0
        static let done: CInt = 1
        /// The ticket is good; the client gets another.
        static let doneRenew: CInt = 2
    }

    /// Uses `keys` for `context`, which must not outlive them. Returns whether OpenSSL agreed.
    static func use(_ keys: TicketKeys, on context: OpaquePointer) -> Bool {
        guard unsafe SSL_CTX_set_ex_data(context, 0, Unmanaged.passUnretained(keys).toOpaque()) == 1 else {
            return false
        }
        return unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(context) { ssl, name, iv, cipher, mac, isSealing in
            guard let ssl = unsafe ssl, let name = unsafe name, let iv = unsafe iv,
                let address = unsafe SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0)
            else { return Answer.failed }
            let keyring = unsafe Unmanaged<TicketKeys>.fromOpaque(address)._withUnsafeGuaranteedRef { $0.keyring }
            if isSealing != 0 { return unsafe TicketSealing.seal(with: keyring, name, iv, cipher, mac) }
            let answer = unsafe TicketSealing.open(with: keyring, name, iv, cipher, mac)
            // A ticket of TLS 1.3 is for one use (RFC 8446, C.4), so there is always another.
            let isSingleUse = unsafe SSL_version(ssl) == TLS1_3_VERSION
            return answer == Answer.done && isSingleUse ? Answer.doneRenew : answer
        } == 1
    }

    private static func seal(
        with keyring: TicketKeyring, _ name: UnsafeMutablePointer<UInt8>, _ iv: UnsafeMutablePointer<UInt8>,
        _ cipher: OpaquePointer?, _ mac: OpaquePointer?
    ) -> CInt {
        guard let key = keyring.newest else { return Answer.without }
        for (index, byte) in key.name.enumerated() { unsafe name[index] = byte }
        guard unsafe RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1,
            unsafe EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.encryption, iv) == 1,
            unsafe setKey(key.authentication, of: mac)
        else { return Answer.failed }
        return Answer.done
    }

    private static func open(
        with keyring: TicketKeyring, _ name: UnsafeMutablePointer<UInt8>, _ iv: UnsafeMutablePointer<UInt8>,
        _ cipher: OpaquePointer?, _ mac: OpaquePointer?
    ) -> CInt {
        let wanted = unsafe UnsafeBufferPointer(start: name, count: TicketKeyring.Key.nameLength)
        guard let (key, isNewest) = unsafe keyring.key(named: wanted) else { return Answer.without }
        guard unsafe setKey(key.authentication, of: mac),
            unsafe EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.encryption, iv) == 1
        else { return Answer.without }
        return isNewest ? Answer.done : Answer.doneRenew
    }

    private static func setKey(_ key: [UInt8], of mac: OpaquePointer?) -> Bool {
        var key = key
        return unsafe key.withUnsafeMutableBytes { key in
            unsafe COpenSSL_EVP_MAC_CTX_use_hmac_sha256(mac, key.baseAddress, key.count) == 1
        }
    }
}
