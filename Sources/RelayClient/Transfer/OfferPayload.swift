// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import WSProtocol

/// What an `offer` says to the receiver (docs/wire-protocol.md, section 3).
struct OfferPayload: Codable, Hashable, Sendable {
    /// The version of the payload, 0.
    var v: Int
    /// What the sender calls it. Untrusted: only ever shown escaped, and made safe before it names a file.
    var name: String
    /// Bytes; nil when the sender does not know.
    var size: UInt64?
    /// The same in each offer of the same content to the same receiver; nil from a client that never offers again.
    var attempt: OfferIdentity?

    init(name: String, size: UInt64?, attempt: OfferIdentity? = nil) {
        self.v = 0
        self.name = name
        self.size = size
        self.attempt = attempt
    }
}

/// What an `accept` says to the sender.
struct AcceptPayload: Codable, Hashable, Sendable {
    /// The version of the payload, 0.
    var v: Int
    /// The bytes that the receiver has already, and that need not be sent.
    var offset: UInt64

    init(offset: UInt64) {
        self.v = 0
        self.offset = offset
    }
}

/// What `delivered` says to the sender.
struct DeliveredPayload: Codable, Hashable, Sendable {
    /// The version of the payload, 0.
    var v: Int
    /// Bytes that were verified and stored.
    var size: UInt64
    /// Their SHA-256, 64 lower-case hex digits.
    var sha256: String

    init(_ summary: ContentSummary) {
        self.v = 0
        self.size = summary.size
        self.sha256 = summary.hex
    }

    /// Whether the receiver has stored exactly what `summary` sums up.
    func confirms(_ summary: ContentSummary) -> Bool {
        v == 0 && size == summary.size && sha256.lowercased() == summary.hex
    }
}
