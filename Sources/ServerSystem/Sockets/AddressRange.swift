// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The addresses that begin with the same bits: `10.0.0.0/8`, `fd00::/8`, or a single one, `192.0.2.1` (RFC 4632).
package struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    /// 4 or 16 bytes, in network order; those behind the prefix are zero.
    private let network: [UInt8]
    private let prefixLength: Int
    /// As it was written.
    package let description: String

    /// Nil when `text` is not an address, or an address and a length that leaves none of its bits over: `10.0.0.1/8` is
    /// a slip of the pen more often than it is meant.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = try? SocketAddress(ipAddress: String(first), port: 0),
            let bytes = Self.bytes(of: address)
        else { return nil }
        var length = bytes.count * 8
        if parts.count == 2 {
            let digits = parts[1]
            guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let number = Int(digits), number <= length
            else { return nil }
            length = number
        }
        network = bytes
        prefixLength = length
        description = text
        guard Self.masked(bytes, to: length) == bytes else { return nil }
    }

    /// Whether `address` lies in the range. An IPv4 address counts as one also when it comes as `::ffff:192.0.2.1`, as
    /// it does on a socket that listens for both.
    package func contains(_ address: SocketAddress) -> Bool {
        guard let bytes = Self.bytes(of: address), bytes.count == network.count else { return false }
        return Self.masked(bytes, to: prefixLength) == network
    }

    private static func masked(_ bytes: [UInt8], to length: Int) -> [UInt8] {
        bytes.enumerated().map { index, byte in
            let kept = min(max(length - index * 8, 0), 8)
            return byte & ~UInt8(truncatingIfNeeded: 0xFF >> kept)
        }
    }

    /// The address in network order, an IPv4-mapped one as IPv4; nil for what is not of the internet.
    package static func bytes(of address: SocketAddress) -> [UInt8]? {
        switch address {
        // Behind the family and the port (ip(7)), and in IPv6 the flow (ipv6(7)).
        case .v4(let address): return unsafe withUnsafeBytes(of: address.address) { unsafe Array($0[4..<8]) }
        case .v6(let address):
            let bytes = unsafe withUnsafeBytes(of: address.address) { unsafe Array($0[8..<24]) }
            let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
            return isMapped ? Array(bytes[12...]) : bytes
        case .unixDomainSocket: return nil
        }
    }

    /// The network that the first `bits`, a multiple of 16, of an IPv6 address name, as text.
    package static func network(of address: [UInt8], bits: Int) -> String {
        let groups = stride(from: 0, to: bits / 8, by: 2).map {
            String(Int(address[$0]) << 8 | Int(address[$0 + 1]), radix: 16)
        }
        return groups.joined(separator: ":") + "::/\(bits)"
    }
}
