// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What an `offer` says to the receiver (docs/wire-protocol.md, section 3).
package struct OfferPayload: Codable, Hashable, Sendable {
    /// The version of the payload, 0.
    package let v: Int
    /// What the sender calls it. Untrusted: only ever shown escaped, and made safe before it names a file.
    package let name: String
    /// Bytes; nil when the sender does not know.
    package let size: UInt64?
    /// The same in each offer of the same content to the same receiver; nil from a client that never offers again.
    package let attempt: OfferIdentity?

    package init(name: String, size: UInt64?, attempt: OfferIdentity? = nil) {
        self.v = 0
        self.name = name
        self.size = size
        self.attempt = attempt
    }
}

/// What an `accept` says to the sender.
package struct AcceptPayload: Codable, Hashable, Sendable {
    /// The version of the payload, 0.
    package let v: Int
    /// The bytes that the receiver has already, and that need not be sent.
    package let offset: UInt64

    package init(offset: UInt64) {
        self.v = 0
        self.offset = offset
    }
}

/// What `delivered` says to the sender.
package struct DeliveredPayload: Codable, Hashable, Sendable {
    /// The version of the payload, 0.
    package let v: Int
    /// Bytes that were verified and stored.
    package let size: UInt64
    /// Their SHA-256, 64 lower-case hex digits.
    package let sha256: String

    package init(_ summary: ContentSummary) {
        self.v = 0
        self.size = summary.size
        self.sha256 = summary.hex
    }

    /// Whether the receiver has stored exactly what `summary` sums up.
    package func confirms(_ summary: ContentSummary) -> Bool {
        v == 0 && size == summary.size && sha256.lowercased() == summary.hex
    }
}

/// Payloads from client to client: JSON for now, sealed later.
package enum PayloadCoding {
    /// Encodes `value`; nil when it is too long for a payload, which only a monstrous name could make it.
    package static func encode(_ value: some Encodable) -> Payload? {
        (try? StrictJSON.encode(value)).flatMap { Payload(bytes: $0.utf8) }
    }

    /// Decodes what another client said; nil when it is not JSON of that form.
    package static func decode<Value: Decodable>(_: Value.Type, _ payload: Payload) -> Value? {
        StrictJSON.decode(Value.self, from: payload.bytes)
    }

    /// An offer that can be taken: of version 0, with a name.
    package static func offer(_ payload: Payload) -> OfferPayload? {
        guard let offer = decode(OfferPayload.self, payload), offer.v == 0, !offer.name.isEmpty else { return nil }
        return offer
    }

    /// An acceptance that can be followed: of version 0, from the beginning.
    package static func accept(_ payload: Payload?) -> AcceptPayload? {
        guard let payload, let accept = decode(AcceptPayload.self, payload), accept.v == 0, accept.offset == 0 else {
            return nil
        }
        return accept
    }

    /// The receiver's confirmation.
    package static func delivered(_ payload: Payload) -> DeliveredPayload? {
        decode(DeliveredPayload.self, payload)
    }
}
