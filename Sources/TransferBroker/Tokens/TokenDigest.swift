// SPDX-License-Identifier: Apache-2.0

import Crypto
package import WSProtocol

/// The SHA-256 of a token: the only form in which the relay keeps one. An attacker who reads the store learns nothing
/// that opens a transfer, and a look-up by digest needs no comparison in constant time.
package struct TokenDigest: Hashable, Sendable {
    package let bytes: [UInt8]

    /// A digest that another node made; this node does not know of which token.
    package init(bytes: [UInt8]) { self.bytes = bytes }

    package init(_ token: Token) {
        self.bytes = Array(SHA256.hash(data: token.bytes))
    }
}
