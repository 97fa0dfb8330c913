// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import Sealing
import Synchronization
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// Someone else, with keys of their own: seals and opens what that one's client would.
struct FakePeer: Sendable {
    let party: Party
    let signingKey = Curve25519.Signing.PrivateKey()
    let ratchet: PrekeyRatchet
    /// What that one's client has published.
    let prekey: Prekey

    init(_ name: PeerName, time: UInt64 = Samples.now) throws {
        let key = try #require(SigningKey(bytes: signingKey.publicKey.rawRepresentation))
        party = Party(name: name, identity: key)
        ratchet = try #require(
            PrekeyRatchet(name: name, epoch: Epoch(milliseconds: time), seed: SymmetricKey(size: .bits256))
        )
        prekey = try ratchet.prekey(signedBy: signingKey)
    }

    /// What the relay says about them.
    func found(_ id: RequestID, prekey: Prekey? = nil) -> ServerMessage.Peer {
        .init(
            id: id, name: party.name, key: party.identity, online: true,
            prekey: (prekey ?? self.prekey).published
        )
    }

    /// Opens what `sender` offers; nil where it is not for them, or not of that one.
    func open(_ offer: ClientMessage.Offer, of sender: Party) -> ReceivedOffer? {
        let parties = AttemptParties(attempt: offer.transfer, sender: sender, receiver: party)
        return try? OfferSealing.open(offer.payload.bytes, between: parties, with: ratchet, time: Samples.now)
    }

    /// Seals the answer to an offer.
    func accept(_ offer: ReceivedOffer, _ acceptance: Acceptance) throws -> (payload: Payload, keys: AttemptKeys) {
        var generator = SystemRandomNumberGenerator()
        let sealed = try AcceptSealing.seal(acceptance, of: offer, signedBy: signingKey, using: &generator)
        return (try #require(Payload(bytes: sealed.payload)), sealed.keys)
    }

    /// Seals an offer.
    ///
    /// - Parameter time: when it is made, in milliseconds since 1970.
    func offer(
        _ summary: OfferSummary, of transfer: CarriedTransfer = .random(), as attempt: AttemptID = .random(),
        to receiver: SealingParty, time: UInt64 = Samples.now
    ) throws -> SentOffer {
        var generator = SystemRandomNumberGenerator()
        let prekeys = try receiver.prekeys.current(name: receiver.name, now: receiver.time())
        return try OfferSealing.seal(
            summary, of: transfer,
            between: AttemptParties(attempt: attempt, sender: party, receiver: try #require(receiver.party)),
            to: try prekeys.prekey(signedBy: receiver.signingKey), signedBy: signingKey, time: time, using: &generator
        )
    }

    /// The relay rings with an offer of theirs.
    func ring(_ offer: SentOffer) throws -> ServerMessage.Ring {
        .init(
            id: .sequence(.relay, 7), transfer: offer.parties.attempt, from: party.name, key: party.identity,
            payload: try #require(Payload(bytes: offer.payload))
        )
    }
}

extension SealingParty {
    /// Someone whose profile is the folder at `path`, at ``Samples/now``.
    static func fresh(
        _ name: PeerName = Samples.carol, in path: String, time: @escaping @Sendable () -> UInt64 = { Samples.now }
    ) -> SealingParty {
        SealingParty(
            name: name, signingKey: .init(), prekeys: PrekeyStore(path), peers: PeerStore(path),
            attempts: AttemptStore(path), time: time
        )
    }
}

/// Names and a time that the tests use.
enum Samples {
    static let alice = name("alice")
    static let bob = name("bob")
    /// Who the client is that is tested, unless a test says otherwise.
    static let carol = name("carol")
    /// 2026-11-28 12:00 UTC, in milliseconds since 1970.
    static let now: UInt64 = 1_795_867_200_000
    static let day: UInt64 = 86_400_000

    private static func name(_ text: String) -> PeerName {
        PeerName(rawValue: text) ?? { preconditionFailure("a name") }()
    }
}

/// The whole stream of `tree` as `keys` seal it.
///
/// - Parameters:
///   - sender: who signs the manifest.
///   - wanted: what notes say about the files, where the acceptance says that notes come.
func sealedStream(
    of tree: SourceTree, as transfer: CarriedTransfer, _ acceptance: Acceptance = Acceptance(), keys: AttemptKeys,
    signedBy sender: Curve25519.Signing.PrivateKey, wanted: [WantedNote] = []
) throws -> [UInt8] {
    let reader = try tree.reader(
        for: transfer, from: acceptance.position, wantsByNote: acceptance.wantsByNote, signedBy: sender
    )
    let filling = ChunkFilling(reader, keys: keys)
    var bytes: [UInt8] = []
    while true {
        let batch = try filling.next(on: BlockingThread())
        bytes += batch.bytes.readableBytesView
        if batch.isLast { return bytes }
        if !batch.goesOn { for note in wanted { try filling.want(note) } }
    }
}
