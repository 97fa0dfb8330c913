// SPDX-License-Identifier: Apache-2.0

private import COpenSSL
internal import NIOCore

/// What one certificate of a file says about itself, for those who are to renew it in time.
package struct CertificateFacts: Hashable, Sendable {
    /// From when to when it is good, in seconds since 1970.
    package let begins: Int64
    package let ends: Int64
    /// The names and addresses of its subjectAltName: at most `TLSDefaults.certificateNames` of them.
    package let names: [TLSServerName]
    /// The SHA-256 of the certificate as people compare it: `AB:CD:…`.
    package let fingerprint: String
    /// The certificate alone, as PEM.
    package let pem: String
    /// Whose it is, and who has issued it, as people write such names: `CN=relay.example.com`. A subject may be empty.
    package let subject: String
    package let issuer: String
    /// Whether it names itself as its issuer, as an authority at the end of a chain does.
    package let isSelfIssued: Bool
    /// Whether it says where its issuer's certificate, or word of its validity, is to be had (RFC 5280, section
    /// 4.2.2.1), as public authorities write it into all that they issue.
    package let hasAuthorityAccess: Bool

    /// The certificates of the PEM file at `path`, in order: at most `TLSDefaults.certificatesPerFile`.
    /// - Parameter areAuthorities: whether they are there to be trusted, and not to be shown.
    /// - Throws: `TLSError` when it cannot be read, or has no certificate.
    package static func read(_ path: String, areAuthorities: Bool = false) throws(TLSError) -> [CertificateFacts] {
        ErrorQueue.clear()
        guard let file = unsafe BIO_new_file(path, "r") else {
            let code: TLSError.Code = areAuthorities ? .trustUnreadable : .certificateUnreadable
            throw TLSError(code, subject: path, detail: ErrorQueue.drain().text)
        }
        defer { unsafe BIO_free(file) }
        var found: [CertificateFacts] = []
        while found.count < TLSDefaults.certificatesPerFile,
            let certificate = unsafe PEM_read_bio_X509(file, nil, nil, nil)
        {
            defer { unsafe X509_free(certificate) }
            guard let facts = unsafe CertificateFacts(certificate) else { break }
            found.append(facts)
        }
        // Its end is an error too, for OpenSSL.
        let failure = ErrorQueue.drain()
        guard !found.isEmpty else {
            throw TLSError(areAuthorities ? .trustInvalid : .certificateInvalid, subject: path, detail: failure.text)
        }
        return found
    }

    /// Whether this one has issued `other`: it bears the issuer's name, may sign certificates, and its key has signed.
    package func hasIssued(_ other: CertificateFacts) -> Bool {
        guard let issuer = unsafe Self.certificate(pem) else { return false }
        defer { unsafe X509_free(issuer) }
        guard let issued = unsafe Self.certificate(other.pem) else { return false }
        defer { unsafe X509_free(issued) }
        defer { ErrorQueue.clear() }
        // The first compares what is written, so that another of the same name would do.
        guard unsafe X509_check_issued(issuer, issued) == X509_V_OK, let key = unsafe X509_get0_pubkey(issuer) else {
            return false
        }
        return unsafe X509_verify(issued, key) == 1
    }

    private init?(_ certificate: OpaquePointer) {
        guard let begins = unsafe Self.seconds(X509_get0_notBefore(certificate)),
            let ends = unsafe Self.seconds(X509_get0_notAfter(certificate)),
            let fingerprint = unsafe Self.fingerprint(of: certificate), let pem = unsafe Self.pem(of: certificate),
            let subject = unsafe Self.name(X509_get_subject_name(certificate)),
            let issuer = unsafe Self.name(X509_get_issuer_name(certificate))
        else { return nil }
        (self.fingerprint, self.pem) = (fingerprint, pem)
        (self.subject, self.issuer) = (subject, issuer)
        hasAuthorityAccess = unsafe X509_get_ext_by_NID(certificate, NID_info_access, -1) >= 0
        isSelfIssued =
            unsafe X509_NAME_cmp(
                X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0
        self.begins = begins
        self.ends = ends
        names = unsafe AlternativeNames.all(of: certificate, limit: TLSDefaults.certificateNames)
    }

    private static func fingerprint(of certificate: OpaquePointer) -> String? {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: CUnsignedInt = 0
        guard unsafe X509_digest(certificate, EVP_sha256(), &digest, &length) == 1 else { return nil }
        return digest.prefix(Int(length)).map { byte in
            let text = String(byte, radix: 16, uppercase: true)
            return byte < 16 ? "0" + text : text
        }.joined(separator: ":")
    }

    /// The certificate of a PEM text, to be freed by the caller.
    private static func certificate(_ pem: String) -> OpaquePointer? {
        let text = Array(pem.utf8)
        return unsafe text.withUnsafeBytes { bytes in
            guard let memory = unsafe BIO_new_mem_buf(bytes.baseAddress, CInt(clamping: bytes.count)) else {
                return nil
            }
            defer { unsafe BIO_free(memory) }
            return unsafe PEM_read_bio_X509(memory, nil, nil, nil)
        }
    }

    private static func pem(of certificate: OpaquePointer) -> String? {
        unsafe text { memory in unsafe PEM_write_bio_X509(memory, certificate) == 1 }
    }

    private static func name(_ name: OpaquePointer?) -> String? {
        unsafe text { memory in unsafe COpenSSL_X509_NAME_print(memory, name) >= 0 }
    }

    /// What `write` writes; nil where it returns false.
    private static func text(_ write: (OpaquePointer) -> Bool) -> String? {
        guard let memory = unsafe BIO_new(BIO_s_mem()) else { return nil }
        defer { unsafe BIO_free(memory) }
        guard unsafe write(memory) else { return nil }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe BIO_read(memory, &chunk, CInt(chunk.count))
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += chunk.prefix(Int(count))
        }
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        guard let time = unsafe time, let epoch = unsafe ASN1_TIME_set(nil, 0) else { return nil }
        defer { unsafe ASN1_STRING_free(epoch) }
        var (days, seconds): (CInt, CInt) = (0, 0)
        guard unsafe ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return nil }
        return Int64(days) * 24 * 60 * 60 + Int64(seconds)
    }
}
