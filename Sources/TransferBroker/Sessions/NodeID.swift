// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Names one relay node: 1 to 32 characters of `[A-Za-z0-9._-]`.
package struct NodeID: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    package init?(rawValue: String) {
        let isAllowed: (UInt8) -> Bool = { Base64URL.contains($0) || $0 == UInt8(ascii: ".") }
        guard (1...32).contains(rawValue.utf8.count), rawValue.utf8.allSatisfy(isAllowed) else { return nil }
        self.rawValue = rawValue
    }

    /// The id of a node that is the only one.
    package static let alone = NodeID(unchecked: "n1")

    private init(unchecked rawValue: String) { self.rawValue = rawValue }
}
