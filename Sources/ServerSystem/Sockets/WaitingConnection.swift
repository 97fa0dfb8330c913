// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore

/// Connections in the queue of a listening socket, taken without NIO.
package enum WaitingConnection {
    /// Accepts the first (accept(2)). Nil when none waits, or when it cannot be accepted. Its receiver closes it.
    package static func accept(at listener: CInt) -> CInt? {
        let descriptor = Glibc.accept(listener, nil, nil)
        return descriptor >= 0 ? descriptor : nil
    }

    /// The other side's address (getpeername(2)); nil when it is gone, or not of the Internet.
    package static func peer(of descriptor: CInt) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe getpeername(descriptor, address, &length)
            }
        }
        guard result == 0 else { return nil }
        return unsafe withUnsafeBytes(of: storage) { bytes in
            switch CInt(storage.ss_family) {
            case AF_INET: SocketAddress(unsafe bytes.loadUnaligned(as: sockaddr_in.self), host: "")
            case AF_INET6: SocketAddress(unsafe bytes.loadUnaligned(as: sockaddr_in6.self), host: "")
            default: nil
            }
        }
    }
}
