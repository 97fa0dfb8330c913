// SPDX-License-Identifier: Apache-2.0

import Crypto
import Sealing
import TransferClient
import WSProtocol

/// This client's side of the sealed format: its keys, whom it knows, and the time of day.
struct SealingParty: Sendable {
    let name: PeerName
    let signingKey: Curve25519.Signing.PrivateKey
    let prekeys: PrekeyStore
    let peers: PeerStore
    let attempts: AttemptStore
    /// Now, in milliseconds since 1970.
    let time: @Sendable () -> UInt64

    /// This client, as others know it.
    var party: Party? {
        SigningKey(bytes: signingKey.publicKey.rawRepresentation).map { Party(name: name, identity: $0) }
    }

    /// Seals an offer to what the relay says about its receiver.
    ///
    /// - Throws: `sealing`, where the identity has changed, or the key is not one to seal to; `file`, where a key of
    ///   one's own cannot be used.
    func seal(
        _ summary: OfferSummary, of transfer: CarriedTransfer, as attempt: AttemptID, to peer: ServerMessage.Peer
    ) throws(ClientError) -> SentOffer {
        let receiver = Party(name: peer.name, identity: peer.key)
        try check(receiver)
        guard let prekey = peer.prekey.map(Prekey.init), let party else {
            throw .command(
                "\(peer.name)'s client cannot receive what is sealed: ask \(peer.name) to update it, and to run receive",
                .refused
            )
        }
        var generator = SystemRandomNumberGenerator()
        do throws(SealingError) {
            return try OfferSealing.seal(
                summary, of: transfer, between: AttemptParties(attempt: attempt, sender: party, receiver: receiver),
                to: prekey, signedBy: signingKey, time: time(), using: &generator
            )
        } catch {
            throw .sealing(error)
        }
    }

    /// Opens what a ring carries, unless it is an attempt that was taken before.
    ///
    /// - Throws: `sealing`, or `file`, as above.
    func open(_ ring: ServerMessage.Ring) throws(ClientError) -> ReceivedOffer {
        let sender = Party(name: ring.from, identity: ring.key)
        try check(sender)
        let now = time()
        let (party, ratchet) = try opening(now)
        let isOld: Bool
        do throws(FileError) { isOld = try attempts.hasTaken(ring.transfer, now: now) } catch { throw .file(error) }
        if isOld { throw .sealing(.repeatedAttempt) }
        do throws(SealingError) {
            return try OfferSealing.open(
                Array(ring.payload.bytes),
                between: AttemptParties(attempt: ring.transfer, sender: sender, receiver: party), with: ratchet,
                time: now
            )
        } catch {
            throw .sealing(error)
        }
    }

    /// What opens what is sealed for this profile.
    private func opening(_ now: UInt64) throws(ClientError) -> (party: Party, ratchet: PrekeyRatchet) {
        let ratchet: PrekeyRatchet
        do throws(FileError) { ratchet = try prekeys.current(name: name, now: now) } catch { throw .file(error) }
        guard let party else { throw .sealing(.unusableKey) }
        return (party, ratchet)
    }

    /// Seals a request to what the relay says about the one who shares, who is known by that from then on.
    ///
    /// - Throws: as above.
    func seal(
        _ query: PullQuery, as request: PullRequest, to peer: ServerMessage.Peer
    ) throws(ClientError) -> (payload: Payload, sharer: Party) {
        let sharer = Party(name: peer.name, identity: peer.key)
        try check(sharer)
        guard let prekey = peer.prekey.map(Prekey.init), let party else {
            throw .command(
                "\(peer.name)'s client cannot share anything: ask \(peer.name) to update it, and to run share", .refused
            )
        }
        do throws(SealingError) {
            let sealed = try RequestSealing.seal(
                query, as: request, from: party, to: sharer, prekey, signedBy: signingKey, time: time()
            )
            guard let payload = Payload(bytes: sealed) else { throw .malformed(.request) }
            return (payload, sharer)
        } catch {
            throw .sealing(error)
        }
    }

    /// Opens what was asked for.
    ///
    /// - Throws: `sealing`, or `file`, as above.
    func open(_ requested: ServerMessage.Requested) throws(ClientError) -> ReceivedRequest {
        let requester = Party(name: requested.from, identity: requested.key)
        try check(requester)
        let now = time()
        let (party, ratchet) = try opening(now)
        do throws(SealingError) {
            let request = try RequestSealing.open(
                Array(requested.payload.bytes), from: requester, to: party, with: ratchet, time: now
            )
            // The relay tells it apart by what it says of it.
            guard request.request == requested.request else { throw .malformed(.request) }
            return request
        } catch {
            throw .sealing(error)
        }
    }

    /// Throws `sealing` where another identity is known under the name, or `file`.
    func check(_ party: Party) throws(ClientError) {
        let contact: Contact
        do throws(FileError) { contact = try peers.contact(with: party) } catch { throw .file(error) }
        do throws(SealingError) { try contact.check() } catch { throw .sealing(error) }
    }

    /// There is contact with `party`, who is known from now on. Returns whether it is the first.
    func meet(_ party: Party) throws(ClientError) -> Bool {
        do throws(FileError) { return try peers.met(party, now: time()) == .first } catch { throw .file(error) }
    }

    /// Takes an attempt whose stream is about to be asked for. Returns why it may not be: `sealing`, when it was
    /// taken before, or `file`.
    func take(_ offer: ReceivedOffer) -> ClientError? {
        do throws(FileError) {
            return try attempts.take(offer, now: time()) ? nil : .sealing(.repeatedAttempt)
        } catch {
            return .file(error)
        }
    }

    /// Seals the answer to an offer.
    func accept(
        _ acceptance: Acceptance, of offer: ReceivedOffer
    ) throws(ClientError) -> (payload: Payload, keys: AttemptKeys) {
        var generator = SystemRandomNumberGenerator()
        do throws(SealingError) {
            let sealed = try AcceptSealing.seal(acceptance, of: offer, signedBy: signingKey, using: &generator)
            guard let payload = Payload(bytes: sealed.payload) else { throw SealingError.malformed(.accept) }
            return (payload, sealed.keys)
        } catch {
            throw .sealing(error)
        }
    }
}
