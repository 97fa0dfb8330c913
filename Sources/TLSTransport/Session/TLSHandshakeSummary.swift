// SPDX-License-Identifier: Apache-2.0

/// What a handshake agreed on.
package struct TLSHandshakeSummary: Hashable, Sendable {
    /// The protocol version as OpenSSL writes it: `TLSv1.2` or `TLSv1.3`.
    package let version: String
    /// The cipher suite as OpenSSL writes it, such as `TLS_AES_128_GCM_SHA256`.
    package let cipher: String
    /// The application protocol ALPN chose, or nil if it was not used.
    package let applicationProtocol: String?
    /// Whether an earlier session was resumed, without certificates.
    package let isResumed: Bool
    /// The DNS names of the other side's certificate, checked by then; empty when it has shown none. At most
    /// `TLSDefaults.peerNames`.
    package let peerNames: [String]
}
