// SPDX-License-Identifier: Apache-2.0

package import Crypto
import FoundationEssentials
import WSProtocol

/// A request that was opened, and is from the one whom it should be from.
package struct ReceivedRequest: Hashable, Sendable {
    package let request: PullRequest
    /// When it was made, by the requester's clock: milliseconds since 1970.
    package let time: UInt64
    package let query: PullQuery
}

/// Seals and opens requests (docs/sealed-format.md, section 9).
package enum RequestSealing {
    /// Seals a request to the sharer's prekey, which is verified first.
    ///
    /// - Parameter time: now, in milliseconds since 1970.
    package static func seal(
        _ query: PullQuery, as request: PullRequest, from requester: Party, to sharer: Party, _ prekey: Prekey,
        signedBy identity: Curve25519.Signing.PrivateKey, time: UInt64
    ) throws(SealingError) -> [UInt8] {
        try prekey.verify(of: sharer, time: time)
        guard let json = query.encoded else { throw .malformed(.request) }
        var fields = FieldWriter()
        fields.integer(time)
        fields.long(json)
        let info = info(request, requester, sharer, prekey.epoch, prekey.key)
        var payload = FieldWriter()
        payload.integer(SealingSuite.byte)
        payload.integer(prekey.epoch.number)
        payload.raw(request.bytes)
        payload.raw(
            try SignedEnvelope.seal(fields.bytes, info: info, to: prekey.key, signedBy: identity, as: .request)
        )
        return payload.bytes
    }

    /// Opens a request.
    ///
    /// - Parameter requester: with the *pinned* identity of the name that the relay gave.
    /// - Parameter time: now, in milliseconds since 1970.
    package static func open(
        _ payload: [UInt8], from requester: Party, to sharer: Party, with ratchet: PrekeyRatchet, time now: UInt64
    ) throws(SealingError) -> ReceivedRequest {
        var header = FieldReader(payload)
        try SignedEnvelope.checkSuite(&header, of: .request)
        guard let epoch = header.integer(UInt32.self).map(Epoch.init(number:)),
            let request = header.raw(PullRequestKind.length).flatMap({ PullRequest(bytes: $0) })
        else { throw .malformed(.request) }
        let info = info(request, requester, sharer, epoch, try ratchet.publicKey(of: epoch))
        let plaintext = try SignedEnvelope.open(
            header.rest, info: info, with: try ratchet.privateKey(of: epoch), as: .request
        )
        var fields = FieldReader(plaintext)
        guard let time = fields.integer(UInt64.self), let json = fields.long(atMost: SealingDefaults.summaryBytes)
        else { throw .malformed(.request) }
        try SignedEnvelope.verify(plaintext, read: fields, info: info, by: requester.identity, as: .request)
        try Freshness.check(time, now: now)
        guard let query = PullQuery(json) else { throw .malformed(.request) }
        return ReceivedRequest(request: request, time: time, query: query)
    }

    private static func info(
        _ request: PullRequest, _ requester: Party, _ sharer: Party, _ epoch: Epoch, _ prekey: [UInt8]
    ) -> [UInt8] {
        var info = FieldWriter(.request)
        info.integer(SealingSuite.byte)
        info.raw(request.bytes)
        info.short(requester.name.rawValue.utf8)
        info.short(sharer.name.rawValue.utf8)
        info.raw(requester.identity.bytes)
        info.raw(sharer.identity.bytes)
        info.integer(epoch.number)
        info.raw(prekey)
        return info.bytes
    }
}
