// SPDX-License-Identifier: Apache-2.0

/// Why something sealed was refused: what happened, which code the other client is told, and what the person reads.
package enum SealingError: Error, Hashable, Sendable {
    // MARK: Who it is

    /// The relay shows another identity than the one that is pinned.
    case identityChanged(pinned: Fingerprint, shown: Fingerprint)
    /// The prekey is not signed by the identity, or is none.
    case prekeySignature
    /// The prekey is of another month than the clock.
    case prekeyMonth(prekey: Epoch, own: Epoch)
    /// The clock would move one's own prekey further on than is believed.
    case clockAhead(prekey: Epoch, clock: Epoch)
    /// The clock is months behind one's own prekey.
    case clockBehind(prekey: Epoch, clock: Epoch)
    /// Something is sealed to a prekey of one's own that is not there yet or not any more.
    case forgottenPrekey(Epoch)

    // MARK: Payloads

    /// A payload of a suite that this client does not know.
    case otherSuite(UInt8)
    /// A payload that has not the form of its kind.
    case malformed(SealedPart)
    /// It does not open: it is altered, or not of this transfer, attempt, party or key.
    case doesNotOpen(SealedPart)
    /// It opens, and is not signed by the one whom it should be from.
    case signature(SealedPart)
    /// The offer is from a day before or after this one: so many milliseconds from now, negative ones before.
    case staleOffer(milliseconds: Int64)
    /// The attempt has been seen before.
    case repeatedAttempt
    /// The offer answers no request of this client's, or brings something else than was asked for.
    case unasked
    /// The acceptance begins behind what is offered.
    case position
    /// What was sent is not what there is now, so that the transfer cannot go on.
    case sourceChanged

    // MARK: The stream

    /// The stream ended without its last chunk.
    case cut
    /// Something follows the last chunk.
    case behindLast
    /// More chunks than a stream can have.
    case tooManyChunks
    /// What the manifest breaks.
    case manifest(ManifestFault)
    /// What the content breaks.
    case content(ContentFault)
    /// The sender could not read a file to its end.
    case unreadable(UnreadableReason)

    /// One's own key cannot be used: a fault of this computer.
    case unusableKey
}

/// What was sealed.
package enum SealedPart: String, Hashable, Sendable, CaseIterable {
    case offer, accept, request, note, delivered, chunk, listing
}

/// What a client tells the other one (docs/wire-protocol.md, section 4, and docs/sealed-format.md).
package enum RefusalCode: String, Hashable, Sendable, CaseIterable {
    case identityChanged = "identity_changed"
    case badPrekey = "bad_prekey"
    case staleOffer = "stale_offer"
    case sourceChanged = "source_changed"
    case cannotRead = "cannot_read"
    case protocolError = "protocol_error"
    case verificationFailed = "verification_failed"
}
