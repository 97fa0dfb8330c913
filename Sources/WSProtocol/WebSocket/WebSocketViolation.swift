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
    /// More pings, pongs and close frames than anybody needs.
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
