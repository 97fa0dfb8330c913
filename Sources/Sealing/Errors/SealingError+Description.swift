// SPDX-License-Identifier: Apache-2.0

extension SealingError: CustomStringConvertible {
    /// What the other client is told; nil when it has nothing to do with it: a cut is tried again, the rest is a matter
    /// of this computer.
    package var code: RefusalCode? {
        switch self {
        case .identityChanged: .identityChanged
        case .prekeySignature, .prekeyMonth, .forgottenPrekey: .badPrekey
        case .staleOffer, .repeatedAttempt: .staleOffer
        case .sourceChanged: .sourceChanged
        case .unreadable(let reason): reason.code
        case .doesNotOpen(.chunk): .verificationFailed
        case .otherSuite, .malformed, .doesNotOpen, .signature, .position, .unasked, .behindLast, .tooManyChunks,
            .manifest, .content:
            .protocolError
        case .clockAhead, .clockBehind, .cut, .unusableKey: nil
        }
    }

    /// Whether the person is told at all.
    package var isSilent: Bool { self == .repeatedAttempt }

    /// One line: what happened, and what to do next.
    package var description: String {
        switch self {
        case .identityChanged(let pinned, let shown):
            "the identity has changed: known as \(pinned), now \(shown); ask on another way which one is right"
        case .prekeySignature:
            "the key to seal for is not signed by the identity: nothing is sent; tell the relay's operator"
        case .prekeyMonth(let prekey, let own):
            "the receiver's key is of \(prekey), and this computer's clock says \(own): one of the two clocks is wrong"
        case .clockAhead(let prekey, let clock):
            "this profile's key is of \(prekey), and this computer's clock says \(clock): set the clock, or log in again"
        case .clockBehind(let prekey, let clock):
            "this computer's clock says \(clock), and this profile's key is of \(prekey) already: set the clock, or, "
                + "if it was wrong before, log in again"
        case .forgottenPrekey(let epoch):
            "it is sealed for the key of \(epoch), which this profile does not hold: the other side has to try again"
        case .otherSuite(let suite):
            "it is sealed as suite \(suite), and this program knows only \(SealingSuite.byte): one of the two has to be updated"
        case .malformed(let part): "the \(part.rawValue) is not of its form"
        case .doesNotOpen(let part):
            "the \(part.rawValue) does not open: it was altered, or is meant for another transfer"
        case .signature(let part): "the \(part.rawValue) is not signed by the one it should be from"
        case .staleOffer(let milliseconds):
            "the offer was made \(Self.hours(milliseconds)): one of the two clocks is wrong, or the offer is an old one"
        case .repeatedAttempt: "the offer has been seen before"
        case .unasked: "it is not what was asked for"
        case .position: "the other client wants to go on behind the end of what is sent"
        case .sourceChanged: "the files are not what they were when the transfer began: send them again"
        case .cut: "the stream ended before its last chunk"
        case .behindLast: "something follows the last chunk"
        case .tooManyChunks: "the stream is longer than one can be"
        case .manifest(let fault): "the list of files is refused: \(fault)"
        case .content(let fault): "the content is refused: \(fault)"
        case .unreadable(let reason): "the sender cannot go on: \(reason)"
        case .unusableKey: "a key of this profile cannot be used"
        }
    }

    private static func hours(_ milliseconds: Int64) -> String {
        let hours = milliseconds.magnitude / 3_600_000
        return "\(hours) hours \(milliseconds < 0 ? "ago" : "ahead") by this computer's clock"
    }
}
