// SPDX-License-Identifier: Apache-2.0

/// How a peer broke the rules of the connection.
package enum WebSocketViolation: String, Error, Hashable, Sendable, CaseIterable {
    /// A frame without a mask from a client (RFC 6455, section 5.1).
    case unmaskedFrame
    /// A frame with a mask from a server (RFC 6455, section 5.1).
    case maskedFrame
    /// A reserved bit, although no extension was agreed on (RFC 6455, section 5.2).
    case reservedBits
    case unknownOpcode
    /// A continuation of nothing (RFC 6455, section 5.4).
    case unexpectedContinuation
    /// A new message before the last one was complete (RFC 6455, section 5.4).
    case interleavedMessage
    /// A control frame in pieces (RFC 6455, section 5.5).
    case fragmentedControlFrame
    /// A control frame of more than 125 bytes (RFC 6455, section 5.5).
    case longControlFrame
    /// A close frame with one byte: half a code (RFC 6455, section 5.5.1).
    case malformedClose
    /// A close frame with a code that may not stand in one (RFC 6455, section 7.4).
    case invalidCloseCode
    case binaryMessage
    case invalidUTF8
    case messageTooLong
    case tooManyFragments
    /// The peer does not read what it is sent.
    case slowReader
    /// No answer to a ping in time.
    case unansweredPing
    /// More pings, pongs and close frames than the limit.
    case tooManyControlFrames

    /// What the close frame says about it.
    package var closeCode: WebSocketCloseCode {
        switch self {
        case .unmaskedFrame, .maskedFrame, .reservedBits, .unknownOpcode, .unexpectedContinuation, .interleavedMessage,
            .fragmentedControlFrame, .longControlFrame, .malformedClose, .invalidCloseCode:
            .protocolError
        case .binaryMessage: .unacceptableData
        case .invalidUTF8: .invalidData
        case .messageTooLong, .tooManyFragments: .tooLarge
        case .slowReader, .tooManyControlFrames: .policyViolation
        case .unansweredPing: .noAnswer
        }
    }
}

/// The close codes of a control connection (RFC 6455, section 7.4.1, and the two of this protocol).
package enum WebSocketCloseCode: UInt16, Hashable, Sendable, CaseIterable {
    case normal = 1000
    case goingAway = 1001
    case protocolError = 1002
    case unacceptableData = 1003
    case invalidData = 1007
    case policyViolation = 1008
    case tooLarge = 1009
    case internalError = 1011
    /// The login was refused or did not come in time.
    case loginFailed = 4401
    /// The relay's operator has closed the session.
    case closedByOperator = 4403
    /// No answer to a ping.
    case noAnswer = 4408

    /// Whether a close frame may carry `code`: the codes that are registered, and those left to libraries and
    /// applications (RFC 6455, section 7.4.2). 1004 to 1006 and 1015 never stand in a frame.
    package static func isAllowedInFrame(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

/// Why a WebSocket is over.
package enum WebSocketClosing: Hashable, Sendable {
    /// The peer closed it, with this text of its own (up to 123 bytes; to be escaped before a person sees it).
    case peer(String)
    /// This side asked for it.
    case local
    /// The peer broke a rule, did not answer or did not read.
    case violation(WebSocketViolation)
    /// The connection ended without a close frame.
    case lost
}
