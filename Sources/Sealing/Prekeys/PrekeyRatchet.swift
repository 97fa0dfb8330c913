// SPDX-License-Identifier: Apache-2.0

package import Crypto
import FoundationEssentials
package import WSProtocol

/// The prekeys of a profile: the seed of this month, the one before, and none that is older. Only the clock moves it,
/// and only forward: what it has forgotten cannot be brought back, by a thief neither.
package struct PrekeyRatchet: Sendable {
    package let name: PeerName
    package private(set) var epoch: Epoch
    /// What a profile stores, and nothing else may see.
    package private(set) var seed: SymmetricKey
    /// The seed of the month before; nil in the first one.
    package private(set) var previousSeed: SymmetricKey?

    /// The bytes of a seed, which is X-Wing's private key.
    package static let seedLength = 32

    /// What a profile has stored, or a first seed from the system's generator; nil when a seed is not one.
    package init?(name: PeerName, epoch: Epoch, seed: SymmetricKey, previousSeed: SymmetricKey? = nil) {
        guard seed.bitCount == Self.seedLength * 8, previousSeed.map({ $0.bitCount == seed.bitCount }) ?? true
        else { return nil }
        self.name = name
        self.epoch = epoch
        self.seed = seed
        self.previousSeed = previousSeed
    }

    /// Goes on to the month of `time`, and forgets what is older than the one before. A clock that is one month behind
    /// changes nothing; one that is further off, to either side, is refused, and nothing changes.
    ///
    /// - Parameter time: now, in milliseconds since 1970.
    package mutating func advance(to time: UInt64) throws(SealingError) {
        let target = Epoch(milliseconds: time)
        guard target >= epoch || epoch.distance(to: target) <= SealingDefaults.epochTolerance else {
            throw .clockBehind(prekey: epoch, clock: target)
        }
        guard target < epoch || epoch.distance(to: target) <= SealingDefaults.mostEpochs else {
            throw .clockAhead(prekey: epoch, clock: target)
        }
        while epoch < target, let next = epoch.next {
            var info = FieldWriter()
            info.short(name.rawValue.utf8)
            info.integer(next.number)
            let seeds = KeyDerivation.keys(salt: SealingLabel.ratchet.bytes, material: seed, infos: [info.bytes])
            previousSeed = seed
            seed = seeds[0]
            epoch = next
        }
    }

    /// What is published: this month's key, signed.
    package func prekey(signedBy identity: Curve25519.Signing.PrivateKey) throws(SealingError) -> Prekey {
        try Prekey(epoch: epoch, key: publicKey(of: epoch), name: name, identity: identity)
    }

    /// The private key of `epoch`; throws when it is not there yet, or not any more.
    func privateKey(of wanted: Epoch) throws(SealingError) -> ExchangePrivateKey {
        let seed =
            switch wanted {
            case epoch: seed
            case Epoch(number: epoch.number &- 1): previousSeed
            default: nil as SymmetricKey?
            }
        guard let seed else { throw .forgottenPrekey(wanted) }
        return try ExchangeKeys.privateKey(seed: seed)
    }

    /// The public half of it.
    func publicKey(of epoch: Epoch) throws(SealingError) -> [UInt8] {
        Array(try privateKey(of: epoch).publicKey.rawRepresentation)
    }
}

/// Keys of X-Wing.
enum ExchangeKeys {
    static func privateKey(seed: SymmetricKey) throws(SealingError) -> ExchangePrivateKey {
        do {
            return try ExchangePrivateKey(
                seedRepresentation: unsafe seed.withUnsafeBytes { unsafe Data($0) }, publicKey: nil)
        } catch {
            throw .unusableKey
        }
    }
}
