// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
package import WSProtocol

typealias ExchangePrivateKey = XWingMLKEM768X25519.PrivateKey

/// The key of one month that others seal their offers to, signed by the identity that it belongs to.
package struct Prekey: Hashable, Sendable {
    package let epoch: Epoch
    /// X-Wing's encapsulation key.
    package let key: [UInt8]
    package let signature: [UInt8]

    /// The bytes of an encapsulation key of X-Wing.
    package static let keyLength = 1_216

    /// What was read from the wire, not verified yet.
    package init(epoch: Epoch, key: [UInt8], signature: [UInt8]) {
        self.epoch = epoch
        self.key = key
        self.signature = signature
    }

    /// What the relay returned, not verified yet.
    package init(_ published: PublishedPrekey) {
        self.init(
            epoch: Epoch(number: published.epoch), key: published.key.bytes, signature: published.signature.bytes
        )
    }

    /// What a login publishes; nil when a field is not of its length.
    package var published: PublishedPrekey? {
        guard let key = PrekeyBytes(bytes: key), let signature = PrekeySignature(bytes: signature) else { return nil }
        return PublishedPrekey(epoch: epoch.number, key: key, signature: signature)
    }

    /// Signs a key of one's own.
    init(
        epoch: Epoch, key: [UInt8], name: PeerName, identity: Curve25519.Signing.PrivateKey
    ) throws(SealingError) {
        let signature = try Signing.sign(Self.signed(name: name, epoch: epoch, key: key), with: identity)
        self.init(epoch: epoch, key: key, signature: signature)
    }

    /// Throws unless it is of `owner`, and of a month that is not far from the one of `time`.
    ///
    /// - Parameter time: now, in milliseconds since 1970.
    package func verify(of owner: Party, time: UInt64) throws(SealingError) {
        guard key.count == Self.keyLength,
            Signing.verify(
                signature, of: Self.signed(name: owner.name, epoch: epoch, key: key), by: owner.identity
            )
        else { throw .prekeySignature }
        let own = Epoch(milliseconds: time)
        guard epoch.distance(to: own) <= SealingDefaults.epochTolerance else {
            throw .prekeyMonth(prekey: epoch, own: own)
        }
    }

    private static func signed(name: PeerName, epoch: Epoch, key: [UInt8]) -> [UInt8] {
        var writer = FieldWriter(.prekey)
        writer.integer(SealingSuite.byte)
        writer.short(name.rawValue.utf8)
        writer.integer(epoch.number)
        writer.raw(key)
        return writer.bytes
    }
}
