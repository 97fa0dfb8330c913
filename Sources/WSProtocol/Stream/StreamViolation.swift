// SPDX-License-Identifier: Apache-2.0

/// Why a stream was refused. Each ends the transfer with `protocol_error`.
package enum StreamViolation: Error, Hashable, Sendable {
    /// A record of a kind that does not exist.
    case unknownKind(UInt8)
    /// A data record without content.
    case emptyRecord
    /// A data record of this many bytes, more than ``StreamRecord/maximumDataLength``.
    case longRecord(Int)
    /// An end record whose body has this many bytes instead of ``StreamRecord/digestLength``.
    case digestLength(Int)
    /// More content than was announced.
    case tooMuchContent
    /// Bytes behind the end record.
    case bytesAfterEnd
}
