// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Why a data stream ended before its time.
enum StreamError: Error, Hashable, Sendable {
    /// There is no connection to the relay.
    case connection(ConnectionError)
    /// The relay answered with an error.
    case refused(HTTPAnswer)
    /// The connection ended in the middle.
    case cut
    /// Nothing was heard for too long.
    case silent
    /// The relay named an address that cannot be used.
    case badAddress

    /// The end of an upload that was not accepted; `accepted` is none, and stands here as a cut.
    init(_ outcome: UploadExchange.Outcome) {
        self =
            switch outcome {
            case .refused(let answer): .refused(answer)
            case .cut, .accepted: .cut
            case .silent: .silent
            }
    }

    /// The code of the protocol's table that says it best.
    ///
    /// - Parameter role: which half of the transfer this stream was.
    func code(as role: TransferRole) -> FailureCode {
        switch self {
        case .connection: .unavailable
        case .refused(let answer): answer.code ?? Self.code(ofStatus: answer.status)
        case .cut: role == .upload ? .receiverGone : .senderGone
        case .silent: .stalled
        case .badAddress: .protocolError
        }
    }

    /// What an answer without a code of its own means: it comes from something between us and the relay.
    private static func code(ofStatus status: Int) -> FailureCode {
        switch status {
        case 500, 502, 503, 504: .unavailable
        case 408: .expired
        case 403, 401: .unknownTransfer
        default: .protocolError
        }
    }
}

extension StreamError {
    /// What happened, in a few words, while it is being tried again.
    var summary: String {
        switch self {
        case .connection(let error): error.summary
        case .refused(let answer): "the relay cannot take the stream now (status \(answer.status))"
        case .cut: "the stream was cut"
        case .silent: "the relay does not answer"
        case .badAddress: "the relay named an address that cannot be used"
        }
    }

    /// The same in the words of the transfer machines.
    func failure(as role: TransferRole) -> StreamFailure {
        switch self {
        // No answer is no verdict: it may be tried again, as after a cut.
        case .connection, .cut, .silent: .cut
        case .refused(let answer): .refused(status: answer.status, code: code(as: role))
        case .badAddress: .refused(status: 0, code: code(as: role))
        }
    }
}
