// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

/// What is read out of the certificate of the other side, once the handshake has checked it.
enum PeerCertificate {
    /// The DNS names of its subjectAltName (RFC 5280, section 4.2.1.6), as they are written there: no more than
    /// `TLSDefaults.peerNames` of them, and none that is empty, too long or not printable ASCII.
    ///
    /// A session that was resumed has the names of the handshake it began with.
    static func names(of ssl: OpaquePointer) -> [String] {
        guard let certificate = unsafe SSL_get0_peer_certificate(ssl),
            let extensionData = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil)
        else { return [] }
        let list = OpaquePointer(extensionData)
        defer { unsafe GENERAL_NAMES_free(list) }
        var names: [String] = []
        for index in unsafe 0..<max(0, OPENSSL_sk_num(list)) where names.count < TLSDefaults.peerNames {
            guard let entry = unsafe OPENSSL_sk_value(list, index) else { continue }
            if let name = unsafe dnsName(entry.assumingMemoryBound(to: GENERAL_NAME.self)) { names.append(name) }
        }
        return names
    }

    private static func dnsName(_ entry: UnsafePointer<GENERAL_NAME>) -> String? {
        var kind: CInt = 0
        guard let value = unsafe GENERAL_NAME_get0_value(entry, &kind), kind == GEN_DNS else { return nil }
        let string = unsafe UnsafePointer(value.assumingMemoryBound(to: ASN1_STRING.self))
        let length = unsafe Int(ASN1_STRING_length(string))
        // A host name has at most 253 bytes (RFC 1035, section 2.3.4, less the length of the root).
        guard (1...253).contains(length), let bytes = unsafe ASN1_STRING_get0_data(string) else { return nil }
        let name = unsafe UnsafeBufferPointer(start: bytes, count: length)
        guard unsafe name.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        return unsafe String(decoding: name, as: UTF8.self)
    }
}
