// SPDX-License-Identifier: Apache-2.0

/// The records that a transfer's stream consists of: one byte of kind, three bytes of length (big-endian), the body.
package enum StreamRecord {
    /// The kinds of records.
    package enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        /// 1 to ``StreamRecord/maximumDataLength`` bytes of content.
        case data = 0
        /// The SHA-256 of the whole content; nothing follows.
        case end = 1
    }

    /// Bytes before each body.
    package static let headLength = 4
    /// The most bytes of content in one record.
    package static let maximumDataLength = 65_536
    /// The length of a SHA-256 in bytes.
    package static let digestLength = 32
}
