// SPDX-License-Identifier: Apache-2.0

/// What a whole content comes down to: both ends compute it, and compare.
struct ContentSummary: Hashable, Sendable {
    /// Bytes.
    let size: UInt64
    /// SHA-256, 32 bytes.
    let digest: [UInt8]

    /// The digest in 64 lower-case hex digits.
    var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
