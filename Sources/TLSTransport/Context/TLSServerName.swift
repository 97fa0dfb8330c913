// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// The name or address a server's certificate has to be for.
package enum TLSServerName: Hashable, Sendable, CustomStringConvertible {
    /// A host name: sent as SNI (RFC 6066, section 3) and compared with the certificate's DNS names.
    case dns(String)
    /// An IP address in text form: compared with the certificate's IP addresses; never sent.
    case ip(String)

    /// Decides which of the two the host of a URL is. Brackets, an IPv6 zone and a dot at the end are left out.
    package init(host: String) {
        var bare = host[...]
        if bare.hasPrefix("["), bare.hasSuffix("]") { bare = bare.dropFirst().dropLast() }
        let withoutZone = String(bare.prefix { $0 != "%" })
        if (try? SocketAddress(ipAddress: withoutZone, port: 0)) != nil {
            self = .ip(withoutZone)
        } else {
            if bare.hasSuffix(".") { bare = bare.dropLast() }
            self = .dns(bare.lowercased())
        }
    }

    /// The name or the address.
    package var description: String {
        switch self {
        case .dns(let name): name
        case .ip(let address): address
        }
    }
}

/// Whose signature on a server's certificate is good enough.
package enum TLSTrust: Hashable, Sendable {
    /// The authorities the operating system trusts.
    case system
    /// Only the authorities in the PEM file at this path.
    case file(String)
}
