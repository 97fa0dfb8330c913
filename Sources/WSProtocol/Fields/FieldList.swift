// SPDX-License-Identifier: Apache-2.0

/// HTTP fields whose values are lists (RFC 9110, section 5.6.1), such as `Connection`.
package enum FieldList {
    /// The comma-separated members of all `values` of a field, trimmed, in lower case; empty ones are left out.
    package static func members(of values: [String]) -> [String] {
        values.flatMap { $0.split(separator: ",") }
            .map { $0.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed() }
            .map { String($0).lowercased() }
            .filter { !$0.isEmpty }
    }
}
