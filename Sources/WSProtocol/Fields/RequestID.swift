// SPDX-License-Identifier: Apache-2.0

/// Joins a reply to its request: 1 to 64 characters of `[A-Za-z0-9_-]`, chosen by whoever sends the request.
package struct RequestID: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    package init?(rawValue: String) {
        guard (1...64).contains(rawValue.utf8.count), rawValue.utf8.allSatisfy(Base64URL.contains) else { return nil }
        self.rawValue = rawValue
    }

    /// The `number`th id of a sequence, with a prefix that tells whose sequence it is.
    package static func sequence(_ prefix: Prefix, _ number: UInt64) -> RequestID {
        RequestID(unchecked: "\(prefix.rawValue)\(number)")
    }

    /// Stands in an `error` that answers a message whose own id could not be read.
    package static let unknown = RequestID(unchecked: "0")

    /// Whose sequence an id belongs to.
    package enum Prefix: String, Sendable {
        case client = "c"
        case relay = "r"
    }

    private init(unchecked rawValue: String) { self.rawValue = rawValue }
}
