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
    case accountDisabled = "account_disabled"
    case tooManySessions = "too_many_sessions"
    case unknownPeer = "unknown_peer"
    case peerOffline = "peer_offline"
    case unknownTransfer = "unknown_transfer"
    case transferExists = "transfer_exists"
    case tooManyTransfers = "too_many_transfers"
    case dayLimit = "day_limit"
    case requestExists = "request_exists"
    case unknownRequest = "unknown_request"
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
    case endedByOperator = "ended_by_operator"

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
    case identityChanged = "identity_changed"
    case badPrekey = "bad_prekey"
    case staleOffer = "stale_offer"

    // Requests for what others share, as a client refuses them.
    case notShared = "not_shared"
    /// The relay says it as well.
    case tooManyRequests = "too_many_requests"

    /// What a client says in `cancel` when its own half of the stream could not begin, or broke, and the relay may not
    /// know: it counts as if the relay had found it out.
    package static func streamLost(by role: TransferRole) -> FailureCode {
        switch role {
        case .upload: .senderGone
        case .download: .receiverGone
        }
    }

    /// Whether a client may name this code in `decline`, `cancel` or `refuse`.
    package var isClients: Bool {
        switch self {
        case .declined, .cancelled, .timedOut, .noSpace, .cannotWrite, .cannotRead, .sourceChanged, .verificationFailed,
            .tooLarge, .protocolError, .identityChanged, .badPrekey, .staleOffer, .notShared, .tooManyRequests:
            true
        case .badMessage, .unknownType, .notNow, .rateLimited, .loginRefused, .nameTaken, .badInvitation,
            .registrationClosed, .tooManySessions, .unknownPeer, .peerOffline, .unknownTransfer, .transferExists,
            .tooManyTransfers, .requestExists, .unknownRequest, .draining, .unavailable, .clusterUnavailable,
            .internalError, .acceptedElsewhere, .accountDisabled, .dayLimit, .endedByOperator,
            .expired, .senderGone, .receiverGone, .stalled, .malformedBody:
            false
        }
    }

    /// Whether the relay says this code of its own accord, and not only because a client did.
    package var isRelays: Bool { !isClients || self == .tooManyRequests }
}

extension FailureCode {
    /// What happened, for a user, without a full stop. It contains no names.
    package var message: String {
        switch self {
        case .badMessage: "this is not a message with the fields of its type"
        case .unknownType: "there is no such type of message"
        case .notNow: "this message is not allowed before login, nor a second login"
        case .rateLimited: "too many messages: slow down"
        case .loginRefused: "no such name, another key, or a signature that does not hold"
        case .nameTaken: "the name belongs to another key"
        case .badInvitation: "the invitation is unknown, used, expired or for another name"
        case .registrationClosed: "this relay takes no new names"
        case .accountDisabled: "the relay's operator has disabled this user"
        case .tooManySessions: "this name has as many sessions as it may"
        case .unknownPeer: "no user here has that name"
        case .peerOffline: "no session of that name is receiving"
        case .unknownTransfer: "there is no such transfer, it is not yours, or it is over"
        case .transferExists: "a transfer of that id is running"
        case .tooManyTransfers: "there are as many transfers as there may be: wait until one has ended"
        case .dayLimit: "this user has moved as many bytes as it may in a day: the next day begins at 00:00 UTC"
        case .requestExists: "a request of that id is open"
        case .unknownRequest: "the one who asked for this does not wait for it any more"
        case .draining: "the relay is about to stop: connect again in a moment"
        case .unavailable: "the relay cannot do this now: try again in a moment"
        case .clusterUnavailable: "this node cannot reach the rest of the cluster: try again in a moment"
        case .internalError: "a fault of the relay"
        case .acceptedElsewhere: "another session of the same name accepted"
        case .expired: "no answer came, or a half did not attach, in time"
        case .senderGone: "the sender's connection was cut"
        case .receiverGone: "the receiver's connection was cut"
        case .stalled: "a side stopped moving bytes"
        case .malformedBody: "the sender's body is not what its framing says"
        case .endedByOperator: "the relay's operator ended it"
        case .declined: "declined"
        case .cancelled: "cancelled"
        case .timedOut: "the sender waited as long as it was told to"
        case .noSpace: "the receiver has no room for it"
        case .cannotWrite: "the receiver cannot write where it has to"
        case .cannotRead: "the sender cannot read on"
        case .sourceChanged: "the file changed while it was being sent"
        case .verificationFailed: "the content is not what was sent"
        case .tooLarge: "it is larger than the receiver takes"
        case .protocolError: "the other client broke the protocol"
        case .identityChanged: "the name has another identity than the one known for it"
        case .badPrekey: "it is sealed to a key that the receiver does not have any more, or not yet"
        case .staleOffer: "the clocks of the two clients differ by more than a day, or the offer is that old"
        case .notShared: "nothing of that name is shared with you"
        case .tooManyRequests: "there are as many open requests as there may be: try again when some are answered"
        }
    }
}
