// SPDX-License-Identifier: Apache-2.0

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
