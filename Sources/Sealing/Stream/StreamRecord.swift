// SPDX-License-Identifier: Apache-2.0

/// The kinds of records in a stream.
enum StreamRecordKind: UInt8, Hashable, Sendable, CaseIterable {
    case folder = 1
    case file = 2
    case link = 3
    case manifestEnd = 8
    case data = 16
    case hole = 17
    case fileEnd = 18
    case unreadable = 19
    case padding = 20
    case end = 24

    /// The most bytes in the body of a record, but for data.
    static let longestBody: UInt32 = 65_536
    /// The bytes of kind and length.
    static let headLength = 5
}

/// How a stream begins.
package enum StreamForm: UInt8, Hashable, Sendable, CaseIterable {
    /// The stream begins with the manifest.
    case manifest = 1
    /// The stream begins with the digest of the manifest, which the receiver has.
    case digest = 2

    /// The one that is due at a position.
    package init(at position: TransferPosition) { self = position == .beginning ? .manifest : .digest }
}
