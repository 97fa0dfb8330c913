// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// How much of clients' addresses is written down: in the log, and wherever else one is kept.
package enum LogAddresses: String, Hashable, Sendable, CaseIterable {
    case full
    /// The network alone: 24 bits of an IPv4 address, 48 of an IPv6 address, which is what a household or a company is
    /// given.
    case prefix
    /// Nothing of them.
    case none

    /// What is written of `text`, an address or, in IPv6, a network of 64 bits; nil: nothing.
    package func shown(_ text: String) -> String? {
        switch self {
        case .full: text
        case .none: nil
        case .prefix: Self.network(of: text)
        }
    }

    private static func network(of text: String) -> String? {
        // What an address is counted under may be its network.
        let address = text.hasSuffix("/64") ? String(text.dropLast(3)) : text
        guard let address = try? SocketAddress(ipAddress: address, port: 0),
            let bytes = AddressRange.bytes(of: address)
        else { return nil }
        if bytes.count == 4 { return bytes.prefix(3).map { String($0) }.joined(separator: ".") + ".0/24" }
        return AddressRange.network(of: bytes, bits: 48)
    }
}
