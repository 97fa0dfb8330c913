// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// An IP address as its bytes, to compare with ranges of addresses.
enum IPAddress: Hashable, Sendable {
    /// Four bytes.
    case v4([UInt8])
    /// Sixteen bytes.
    case v6([UInt8])

    /// Reads the text forms of RFC 4291, section 2.2 and dotted IPv4; anything else is nil.
    init?(_ text: some StringProtocol) {
        var bytes = [UInt8](repeating: 0, count: 16)
        if unsafe inet_pton(AF_INET, String(text), &bytes) == 1 {
            self = .v4(Array(bytes.prefix(4)))
        } else if unsafe inet_pton(AF_INET6, String(text), &bytes) == 1 {
            self = .v6(bytes)
        } else {
            return nil
        }
    }

    /// Whether the first `length` bits are those of `network`; false between the two families.
    func isIn(_ network: IPAddress, prefix length: Int) -> Bool {
        switch (self, network) {
        case (.v4(let own), .v4(let other)), (.v6(let own), .v6(let other)):
            guard (0...(own.count * 8)).contains(length) else { return false }
            let whole = length / 8
            guard own.prefix(whole) == other.prefix(whole) else { return false }
            let bits = length % 8
            if bits == 0 { return true }
            return (own[whole] ^ other[whole]) >> UInt8(8 - bits) == 0
        case (.v4, .v6), (.v6, .v4):
            return false
        }
    }
}
