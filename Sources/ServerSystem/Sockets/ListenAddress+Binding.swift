// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore

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
