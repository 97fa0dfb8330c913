// SPDX-License-Identifier: Apache-2.0

/// The part of a file that a request asks for (RFC 9110, section 14).
enum ByteRange: Hashable, Sendable {
    case whole
    /// From the first byte to the one behind the last; never empty.
    case part(Range<Int64>)
    case unsatisfiable

    /// - Parameter field: the Range field's value. One that is malformed, of another unit, or asks for several parts,
    ///   is ignored, as RFC 9110 allows.
    init(_ field: String?, size: Int64) {
        self = .whole
        guard let field, field.lowercased().hasPrefix("bytes=") else { return }
        let ends = field.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let first = Self.number(ends[0]), let last = Self.number(ends[1]) else { return }
        switch (first, last) {
        case (nil, nil): return
        case (nil, let count?): self = count == 0 || size == 0 ? .unsatisfiable : .part(max(0, size - count)..<size)
        case (let first?, let last):
            if let last, last < first { return }
            self = first >= size ? .unsatisfiable : .part(first..<(last.map { min($0, size - 1) + 1 } ?? size))
        }
    }

    /// Nothing at all is `.some(nil)`; what is no number of at most 18 digits is nil.
    private static func number(_ text: Substring) -> Int64?? {
        if text.isEmpty { return .some(nil) }
        guard text.utf8.count <= 18, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = Int64(text)
        else {
            return nil
        }
        return .some(value)
    }
}

/// Whether a client has the content already (RFC 9110, section 13).
enum EntityTag {
    /// Whether one of the members of If-None-Match means the content `tag`.
    static func matches(_ fields: [String], _ tag: String) -> Bool {
        fields.flatMap { $0.split(separator: ",") }.contains { member in
            let text = member.drop { $0 == " " || $0 == "\t" }
            let trimmed = text.reversed().drop { $0 == " " || $0 == "\t" }.reversed()
            let value = String(trimmed)
            return value == "*" || (value.hasPrefix("W/") ? String(value.dropFirst(2)) : value) == tag
        }
    }
}
