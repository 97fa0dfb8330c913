// SPDX-License-Identifier: Apache-2.0

private import COpenSSL
internal import NIOCore

/// The subjectAltName of a certificate (RFC 5280, section 4.2.1.6). Names that are empty, too long or not printable
/// ASCII are left out.
enum AlternativeNames {
    /// The DNS names, as they are written there.
    static func dns(of certificate: OpaquePointer, limit: Int) -> [String] {
        unsafe read(certificate, limit) { kind, value in unsafe kind == GEN_DNS ? name(value) : nil }
    }

    /// The DNS names in lower case, and the addresses.
    static func all(of certificate: OpaquePointer, limit: Int) -> [TLSServerName] {
        unsafe read(certificate, limit) { kind, value in
            switch kind {
            case GEN_DNS: unsafe name(value).map { TLSServerName.dns($0.lowercased()) }
            case GEN_IPADD:
                unsafe (try? SocketAddress(packedIPAddress: ByteBuffer(bytes: value), port: 0))?.ipAddress.map(
                    TLSServerName.ip)
            default: nil
            }
        }
    }

    private static func name(_ value: UnsafeBufferPointer<UInt8>) -> String? {
        // A host name has at most 253 bytes (RFC 1035, section 2.3.4, less the length of the root).
        guard (1...253).contains(value.count), unsafe value.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return nil
        }
        return unsafe String(decoding: value, as: UTF8.self)
    }

    private static func read<Name>(
        _ certificate: OpaquePointer, _ limit: Int, _ convert: (CInt, UnsafeBufferPointer<UInt8>) -> Name?
    ) -> [Name] {
        guard let extensionData = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else {
            return []
        }
        let list = OpaquePointer(extensionData)
        defer { unsafe GENERAL_NAMES_free(list) }
        var names: [Name] = []
        for index in unsafe 0..<max(0, OPENSSL_sk_num(list)) where names.count < limit {
            guard let entry = unsafe OPENSSL_sk_value(list, index) else { continue }
            var kind: CInt = 0
            let named = unsafe GENERAL_NAME_get0_value(entry.assumingMemoryBound(to: GENERAL_NAME.self), &kind)
            // The two kinds that are looked for are strings of ASN.1; other values are something else.
            guard kind == GEN_DNS || kind == GEN_IPADD, let named = unsafe named else { continue }
            let string = unsafe UnsafePointer(named.assumingMemoryBound(to: ASN1_STRING.self))
            guard let bytes = unsafe ASN1_STRING_get0_data(string) else { continue }
            let value = unsafe UnsafeBufferPointer(start: bytes, count: max(0, Int(ASN1_STRING_length(string))))
            if let name = unsafe convert(kind, value) { names.append(name) }
        }
        return names
    }
}
