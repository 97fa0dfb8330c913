// SPDX-License-Identifier: Apache-2.0

/// Which server is at the other end.
package struct RedisVersion: Hashable, Sendable, CustomStringConvertible {
    /// `Redis` or `Valkey`.
    package let product: String
    /// The version as the server writes it, printable.
    package let text: String
    /// Whether this module works with it.
    let isSupported: Bool

    /// The oldest Redis that works: the first with ACL rules for channels. Valkey began with version 7.2.
    package static let oldest = "6.2"

    /// Reads the reply to `INFO server`; nil if it names no version.
    package init?(info: String) {
        var fields: [Substring: Substring] = [:]
        for line in info.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = line[line.index(after: colon)...]
        }
        if let version = fields["valkey_version"] {
            (product, text, isSupported) = ("Valkey", RedisError.printable(String(version)), true)
            return
        }
        guard let version = fields["redis_version"] else { return nil }
        let parts = version.split(separator: ".", omittingEmptySubsequences: false).prefix(2).map { Int($0) }
        guard parts.count == 2, let major = parts[0], let minor = parts[1] else { return nil }
        (product, text) = ("Redis", RedisError.printable(String(version)))
        isSupported = (major, minor) >= (6, 2)
    }

    /// Product and version.
    package var description: String { "\(product) \(text)" }
}
