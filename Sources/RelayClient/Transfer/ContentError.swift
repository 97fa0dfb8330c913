// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Why received content is not accepted although it arrived.
enum ContentError: Error, Hashable, Sendable {
    /// It is not what the sender says it sent.
    case verificationFailed
    /// It is larger than this side takes.
    case tooLarge
    /// It is not a stream of records.
    case malformed(StreamViolation)

    /// What the other side is told.
    var code: FailureCode {
        switch self {
        case .verificationFailed: .verificationFailed
        case .tooLarge: .tooLarge
        case .malformed: .protocolError
        }
    }
}
