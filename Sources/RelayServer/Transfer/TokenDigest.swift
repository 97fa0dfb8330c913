// SPDX-License-Identifier: Apache-2.0

import Crypto
import WSProtocol

/// The SHA-256 of a token: the only form in which the relay keeps one. Whoever reads the store learns nothing that
/// opens a transfer, and a look-up by digest needs no comparison in constant time.
struct TokenDigest: Hashable, Sendable {
    let bytes: [UInt8]

    init(_ token: Token) {
        self.bytes = Array(SHA256.hash(data: token.bytes))
    }
}
