// SPDX-License-Identifier: Apache-2.0

/// The name of a file, folder or link within its folder.
package struct EntryName: Hashable, Comparable, Sendable {
    package let bytes: [UInt8]

    /// The longest name, in bytes: that of Linux' file systems.
    package static let maximumLength = 255

    /// Throws what is wrong with `bytes`.
    package init(_ bytes: [UInt8]) throws(NameFault) {
        if let fault = Self.fault(bytes) { throw fault }
        self.bytes = bytes
    }

    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Orders names by their bytes.
    package static func < (first: EntryName, second: EntryName) -> Bool {
        first.bytes.lexicographicallyPrecedes(second.bytes)
    }

    /// Why `bytes` are not a name, if they are not.
    static func fault(_ bytes: [UInt8]) -> NameFault? {
        if bytes.isEmpty { return .empty }
        if bytes.count > maximumLength { return .tooLong(bytes.count) }
        if bytes.contains(0) { return .nul }
        if bytes.contains(UInt8(ascii: "/")) { return .slash }
        if bytes == Array(".".utf8) || bytes == Array("..".utf8) { return .dots }
        return String(validating: bytes, as: UTF8.self) == nil ? .notText : nil
    }
}
