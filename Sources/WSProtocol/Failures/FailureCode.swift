// SPDX-License-Identifier: Apache-2.0

/// Why a request was refused or a transfer ended without being delivered: the one table of the protocol.
///
/// `docs/wire-protocol.md` lists each code with its meaning; a test holds the two together.
package enum FailureCode: String, Codable, Hashable, Sendable, CaseIterable {
    // Requests.
    case badMessage = "bad_message"
    case unknownType = "unknown_type"
    case notNow = "not_now"
    case rateLimited = "rate_limited"
    case loginRefused = "login_refused"
    case nameTaken = "name_taken"
    case badInvitation = "bad_invitation"
    case registrationClosed = "registration_closed"
    case tooManySessions = "too_many_sessions"
    case unknownPeer = "unknown_peer"
    case peerOffline = "peer_offline"
    case unknownTransfer = "unknown_transfer"
    case transferExists = "transfer_exists"
    case tooManyTransfers = "too_many_transfers"
    case draining = "draining"
    case unavailable = "unavailable"
    case clusterUnavailable = "cluster_unavailable"
    case internalError = "internal_error"

    // Transfers, as the relay ends them.
    case acceptedElsewhere = "accepted_elsewhere"
    case expired = "expired"
    case senderGone = "sender_gone"
    case receiverGone = "receiver_gone"
    case stalled = "stalled"
    case malformedBody = "malformed_body"

    // Transfers, as a client ends them.
    case declined = "declined"
    case cancelled = "cancelled"
    case timedOut = "timed_out"
    case noSpace = "no_space"
    case cannotWrite = "cannot_write"
    case cannotRead = "cannot_read"
    case sourceChanged = "source_changed"
    case verificationFailed = "verification_failed"
    case tooLarge = "too_large"
    case protocolError = "protocol_error"

    /// Whether a client may name this code in `decline` or `cancel`.
    package var isClients: Bool {
        switch self {
        case .declined, .cancelled, .timedOut, .noSpace, .cannotWrite, .cannotRead, .sourceChanged, .verificationFailed,
            .tooLarge, .protocolError:
            true
        case .badMessage, .unknownType, .notNow, .rateLimited, .loginRefused, .nameTaken, .badInvitation,
            .registrationClosed, .tooManySessions, .unknownPeer, .peerOffline, .unknownTransfer, .transferExists,
            .tooManyTransfers, .draining, .unavailable, .clusterUnavailable, .internalError, .acceptedElsewhere,
            .expired, .senderGone, .receiverGone, .stalled, .malformedBody:
            false
        }
    }
}
