// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import WSProtocol

/// Payloads from client to client: JSON for now, sealed later.
enum PayloadCoding {
    /// Encodes `value`; nil when it is too long for a payload, which only a monstrous name could make it.
    static func encode(_ value: some Encodable) -> Payload? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(value)).flatMap { Payload(bytes: $0) }
    }

    /// Decodes what another client said; nil when it is not JSON of that form.
    static func decode<Value: Decodable>(_: Value.Type, _ payload: Payload) -> Value? {
        StrictJSON.decode(Value.self, from: payload.bytes)
    }

    /// An offer that can be taken: of version 0, with a name.
    static func offer(_ payload: Payload) -> OfferPayload? {
        guard let offer = decode(OfferPayload.self, payload), offer.v == 0, !offer.name.isEmpty else { return nil }
        return offer
    }

    /// An acceptance that can be followed: of version 0, from the beginning.
    static func accept(_ payload: Payload?) -> AcceptPayload? {
        guard let payload, let accept = decode(AcceptPayload.self, payload), accept.v == 0, accept.offset == 0 else {
            return nil
        }
        return accept
    }

    /// The receiver's confirmation.
    static func delivered(_ payload: Payload) -> DeliveredPayload? {
        decode(DeliveredPayload.self, payload)
    }
}
