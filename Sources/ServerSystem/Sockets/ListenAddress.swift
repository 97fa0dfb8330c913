// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore
import PrivateFiles

/// `HOST:PORT`, with an IPv6 address in brackets: `0.0.0.0:8443`, `[::1]:8443`, `localhost:0`.
package struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address, without brackets.
    package var host: String
    /// 0 lets the system choose a free one.
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Nil when `text` is not of that form.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt16(digits)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]"), host.contains(":") {
            host = host.dropFirst().dropLast()
            guard host.utf8.allSatisfy(Self.isAddressByte) else { return nil }
        } else {
            guard host.utf8.allSatisfy(Self.isNameByte) else { return nil }
        }
        guard (1...255).contains(host.utf8.count) else { return nil }
        self.init(host: String(host), port: port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
        default: false
        }
    }

    /// Hexadecimal digits, colons, dots, and a zone (`%eth0`).
    private static func isAddressByte(_ byte: UInt8) -> Bool { isNameByte(byte) || byte == 0x3A || byte == 0x25 }
}

extension ListenAddress {
    /// The socket's address; looks a name up, so not to be called on an event loop.
    /// - Throws: ``OperatorError`` when the name has no address.
    package func resolved() throws(OperatorError) -> SocketAddress {
        do {
            return try SocketAddress.makeAddressResolvingHost(host, port: Int(port))
        } catch {
            throw OperatorError(.configuration, "cannot listen on \(self): no address is known for \"\(host)\"")
        }
    }

    /// Whether a socket bound to `bound` is what is dialled here: this very address, and not all of some machine's.
    package func isExactly(_ bound: SocketAddress?) -> Bool {
        guard let bound, bound.port == Int(port), let ipAddress = bound.ipAddress else { return false }
        return ipAddress == host && ipAddress != "0.0.0.0" && ipAddress != "::"
    }

    /// Why a listener could not be bound here, in words.
    package func failure(_ error: any Error) -> OperatorError {
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE:
            OperatorError(
                .unavailable, "cannot listen on \(self): another process does: stop it, or choose another port"
            )
        case EACCES, EPERM:
            OperatorError(
                .configuration,
                "cannot listen on \(self): not allowed: choose a port above 1023, or grant CAP_NET_BIND_SERVICE"
            )
        case EADDRNOTAVAIL:
            OperatorError(.configuration, "cannot listen on \(self): this machine does not have that address")
        case let code?:
            OperatorError(.unavailable, "cannot listen on \(self): \(SystemError(code: code))")
        case nil:
            OperatorError(.unavailable, "cannot listen on \(self): \(error)")
        }
    }
}

extension SocketAddress {
    /// `HOST:PORT`, an IPv6 address in brackets; nil for what is not an Internet address.
    package var hostAndPort: String? {
        guard let ipAddress, let port, let port = UInt16(exactly: port) else { return nil }
        return ListenAddress(host: ipAddress, port: port).description
    }
}
