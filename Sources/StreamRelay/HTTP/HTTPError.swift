// SPDX-License-Identifier: Apache-2.0

import TransferBroker
package import WSProtocol

/// An answer other than success: its status, a code for programs, and a message for a person.
package struct HTTPError: Error, Hashable, Sendable {
    package var status: HTTPStatus
    package var code: String
    package var message: String
    /// More fields of the answer, such as Allow.
    package var fields: [RequestHead.Field] = []

    package init(status: HTTPStatus, code: String, message: String, fields: [RequestHead.Field] = []) {
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
    }

    /// The request breaks the grammar of RFC 9112, or could be read in two ways.
    package static func malformed(_ message: String) -> HTTPError {
        HTTPError(status: .badRequest, code: "bad_request", message: message)
    }
}

extension HTTPError {
    /// There is no room for more.
    package static let full = HTTPError(
        status: .unavailable, code: "unavailable", message: "the relay is full: try again in a moment",
        fields: [retryAfter]
    )

    /// The process is about to stop.
    package static let draining = HTTPError(
        status: .unavailable, code: "draining", message: "the relay is about to stop: try again in a moment",
        fields: [retryAfter]
    )

    /// When to come again.
    static var retryAfter: RequestHead.Field {
        RequestHead.Field(name: "Retry-After", value: String(Defaults.Request.retryAfter))
    }
}

extension HTTPError {
    /// What a half of a stream is told when the stream ends with `code`.
    package static func stream(_ code: FailureCode) -> HTTPError {
        let status: HTTPStatus =
            switch code {
            case .expired, .stalled: .gatewayTimeout
            case .draining, .unavailable, .clusterUnavailable, .rateLimited: .unavailable
            case .internalError: .internalError
            case .senderGone, .receiverGone, .malformedBody, .declined, .cancelled, .timedOut, .noSpace, .cannotWrite,
                .cannotRead, .sourceChanged, .verificationFailed, .tooLarge, .protocolError, .identityChanged,
                .badPrekey, .staleOffer, .badMessage, .unknownType, .notNow, .loginRefused, .nameTaken, .badInvitation,
                .registrationClosed, .accountDisabled, .dayLimit, .endedByOperator, .tooManySessions, .unknownPeer,
                .peerOffline,
                .unknownTransfer, .transferExists, .tooManyTransfers, .acceptedElsewhere, .requestExists,
                .unknownRequest, .notShared, .tooManyRequests:
                .badGateway
            }
        let message =
            switch code {
            case .expired: "the other side did not come in time"
            case .stalled: "the stream stopped moving"
            case .senderGone: "the sender is gone"
            case .receiverGone: "the receiver is gone"
            case .endedByOperator: "the relay's operator ended it"
            case .draining: "the relay is about to stop"
            default: "the transfer was ended"
            }
        return HTTPError(
            status: status, code: code.rawValue, message: message, fields: status == .unavailable ? [retryAfter] : []
        )
    }
}
