// SPDX-License-Identifier: Apache-2.0

/// One field line of a head or of a trailer section (RFC 9112, section 5).
package enum FieldLine {
    /// Parses a line without its CRLF; the name is returned in lower case.
    package static func parse(_ line: ArraySlice<UInt8>) throws(HTTPError) -> RequestHead.Field {
        guard let colon = line.firstIndex(of: 0x3A) else { throw .malformed("a header field has no colon") }
        let name = line[..<colon]
        guard !name.isEmpty, name.allSatisfy(isTokenByte) else {
            throw .malformed("a header field's name is empty, folded, or has a character that is not allowed")
        }
        var value = line[(colon + 1)...]
        guard value.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }) else {
            throw .malformed("a header field's value has a control character")
        }
        value = value.drop { $0 == 0x20 || $0 == 0x09 }
        while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
        return RequestHead.Field(
            name: String(decoding: name, as: UTF8.self).lowercased(), value: String(decoding: value, as: UTF8.self)
        )
    }

    /// Whether `byte` may stand in a token (RFC 9110, section 5.6.2).
    static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
        default: false
        }
    }
}
