// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

/// A list of application protocols in the form ALPN has on the wire (RFC 7301, section 3.1), at a fixed address.
///
/// The address is what OpenSSL's callback gets, so the list must live as long as the context it is set on.
@safe
final class ApplicationProtocols {
    private let list: UnsafeMutableBufferPointer<UInt8>

    /// Takes the names in order of preference; nil if one is empty or longer than 255 bytes.
    init?(_ names: [String]) {
        var bytes: [UInt8] = []
        for name in names {
            guard let length = UInt8(exactly: name.utf8.count), length > 0 else { return nil }
            bytes.append(length)
            bytes.append(contentsOf: name.utf8)
        }
        unsafe list = .allocate(capacity: bytes.count)
        _ = unsafe list.initialize(fromContentsOf: bytes)
    }

    deinit { unsafe list.deallocate() }

    /// Makes a client offer the list.
    func offer(on context: OpaquePointer) -> Bool {
        // Unlike nearly all of OpenSSL, this function returns 0 for success.
        unsafe list.isEmpty || SSL_CTX_set_alpn_protos(context, list.baseAddress, UInt32(list.count)) == 0
    }

    /// Makes a server choose from the list: a client that offers others only gets the alert no_application_protocol,
    /// one that offers nothing is welcome.
    func select(on context: OpaquePointer) {
        guard unsafe !list.isEmpty else { return }
        let address = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe SSL_CTX_set_alpn_select_cb(
            context,
            { _, chosen, chosenLength, offered, offeredLength, address in
                guard let address = unsafe address, let chosen = unsafe chosen else {
                    return SSL_TLSEXT_ERR_ALERT_FATAL
                }
                return unsafe Unmanaged<ApplicationProtocols>.fromOpaque(address)._withUnsafeGuaranteedRef { ours in
                    var result: UnsafeMutablePointer<UInt8>?
                    let verdict = unsafe SSL_select_next_proto(
                        &result, chosenLength, ours.list.baseAddress, UInt32(ours.list.count), offered, offeredLength)
                    guard verdict == OPENSSL_NPN_NEGOTIATED else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                    unsafe chosen.pointee = unsafe UnsafePointer(result)
                    return SSL_TLSEXT_ERR_OK
                }
            },
            address
        )
    }
}
