// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

extension HTTPError {
    /// What a half of a stream is told when the stream ends with `code`.
    package static func stream(_ code: FailureCode) -> HTTPError {
        let status: HTTPStatus =
            switch code {
            case .expired, .stalled: .gatewayTimeout
            case .draining, .unavailable, .clusterUnavailable, .rateLimited: .unavailable
            case .internalError: .internalError
            case .senderGone, .receiverGone, .malformedBody, .declined, .cancelled, .timedOut, .noSpace, .cannotWrite,
                .cannotRead,
                .sourceChanged, .verificationFailed, .tooLarge, .protocolError, .badMessage, .unknownType, .notNow,
                .loginRefused,
                .nameTaken, .badInvitation, .registrationClosed, .tooManySessions, .unknownPeer, .peerOffline,
                .unknownTransfer, .transferExists, .tooManyTransfers, .acceptedElsewhere:
                .badGateway
            }
        let message =
            switch code {
            case .expired: "the other side did not come in time"
            case .stalled: "the stream stopped moving"
            case .senderGone: "the sender is gone"
            case .receiverGone: "the receiver is gone"
            case .draining: "the relay is about to stop"
            default: "the transfer was ended"
            }
        return HTTPError(
            status: status, code: code.rawValue, message: message, fields: status == .unavailable ? [retryAfter] : []
        )
    }
}
