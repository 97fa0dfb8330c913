// SPDX-License-Identifier: Apache-2.0

import TLSTransport

/// Where a file's certificates are no chain: in one, each is issued by the one after it.
struct ChainBreak: Hashable, Sendable {
    /// Place of the first that does not belong behind the one before it, from 0.
    let place: Int
    /// Place of the certificate that belongs there; nil where the file has none such.
    let issuer: Int?

    /// Nil where each certificate has issued the one before it, or an earlier one: an authority that two others vouch
    /// for has two certificates, and both may be there.
    init?(_ certificates: [CertificateFacts]) {
        let broken = certificates.indices.dropFirst().first { place in
            !certificates[..<place].reversed().contains { certificates[place].hasIssued($0) }
        }
        guard let broken else { return nil }
        let before = certificates[broken - 1]
        place = broken
        issuer = certificates.indices.first { $0 != broken - 1 && certificates[$0].hasIssued(before) }
    }
}
