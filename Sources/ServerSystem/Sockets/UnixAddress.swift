// SPDX-License-Identifier: Apache-2.0

package import Glibc
package import PrivateFiles

/// Addresses of unix sockets (unix(7)).
package enum UnixAddress {
    /// The address of the socket at `path`, and its length; one that begins with `@` is in the abstract namespace. Nil
    /// when it is too long.
    package static func make(_ path: String) -> (address: sockaddr_un, length: socklen_t)? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        let isAbstract = bytes.first == UInt8(ascii: "@")
        if isAbstract { bytes[0] = 0 }
        let isWhole = unsafe withUnsafeMutableBytes(of: &address.sun_path) { field in
            // The zero behind the path is already there.
            guard bytes.count < field.count else { return false }
            unsafe field.copyBytes(from: bytes)
            return true
        }
        guard isWhole else { return nil }
        let head = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        return (address, socklen_t(isAbstract ? head + bytes.count : MemoryLayout<sockaddr_un>.size))
    }

    /// Makes a socket at `path`, for this user alone, and listens. The caller closes it; its name stays.
    package static func listen(_ path: String, backlog: CInt) throws(SystemError) -> CInt {
        guard let address = make(path) else { throw SystemError(code: ENAMETOOLONG) }
        let socket = try SystemError.check {
            Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        }
        do {
            try SystemError.check { unsafe use(address) { unsafe bind(socket, $0, $1) } }
            try SystemError.check { unsafe chmod(path, 0o600) }
            try SystemError.check { Glibc.listen(socket, backlog) }
            return socket
        } catch {
            close(socket)
            throw error
        }
    }

    /// Runs `body` with `address` as the system's calls want it.
    package static func use<Result>(
        _ address: (address: sockaddr_un, length: socklen_t), _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        unsafe withUnsafePointer(to: address.address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, address.length) }
        }
    }
}
