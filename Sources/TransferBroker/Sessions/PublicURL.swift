// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// A node's own address for clients, such as `https://n2.example.org`: senders bring their bytes and tokens there, so it is
/// only ever taken from that node's configuration, or from the node itself over a proven link.
package struct PublicURL: Hashable, Sendable, ValidatedString {
    package let rawValue: String

    /// Nil unless it is `https` and printable ASCII without blanks.
    package init?(rawValue: String) {
        guard rawValue.hasPrefix("https://"), rawValue.utf8.count <= Defaults.Broker.publicURL,
            rawValue.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        self.rawValue = rawValue
    }
}
