// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import ServerSystem
import TransferBroker

/// The Unix socket through which sub-commands talk to the running server.
enum AdminSocket {
    /// Its name in the state directory.
    static let name = "admin.sock"

    /// What was found where the socket is to be.
    enum Occupant: Hashable, Sendable {
        case nothing
        /// A server answers.
        case live
        /// A socket that no process listens on: its server was killed.
        case stale
        /// Something that is not a socket.
        case foreign
    }

    /// The socket's path.
    /// - Throws: ``OperatorError`` when it is longer than Unix sockets can have.
    static func path(in stateDirectory: String) throws(OperatorError) -> String {
        let path = StateDirectory.path(of: name, in: stateDirectory)
        guard path.utf8.count <= Defaults.Admin.maximumSocketPath else {
            throw OperatorError(
                .configuration,
                "\(path) is too long for a Unix socket (\(path.utf8.count) bytes, at most "
                    + "\(Defaults.Admin.maximumSocketPath)): choose a shorter --state-dir"
            )
        }
        return path
    }

    /// Makes room for a new socket at `path`: removes a stale one.
    /// - Throws: ``OperatorError`` when it is in use, or is not a socket.
    static func clear(_ path: String) throws(OperatorError) {
        switch occupant(of: path) {
        case .nothing: return
        case .live:
            throw OperatorError(.unavailable, "another relay-server answers on \(path): stop it first")
        case .foreign:
            throw OperatorError(.configuration, "\(path) is not a socket: move it away")
        case .stale:
            guard unsafe unlink(path) == 0 || errno == ENOENT else {
                throw OperatorError(.configuration, "cannot replace \(path): \(SystemError.last)")
            }
        }
    }

    /// Looks at what is at `path`, by connecting to it.
    static func occupant(of path: String) -> Occupant {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return errno == ENOENT ? .nothing : .foreign }
        guard status.st_mode & S_IFMT == S_IFSOCK else { return .foreign }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let isWhole = unsafe withUnsafeMutableBytes(of: &address.sun_path) { field in
            // The zero behind the path is already there.
            guard path.utf8.count < field.count else { return false }
            unsafe field.copyBytes(from: path.utf8)
            return true
        }
        guard isWhole else { return .foreign }
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let probe = socket(AF_UNIX, kind, 0)
        guard probe >= 0 else { return .live }
        defer { close(probe) }
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(probe, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        // Only a refusal proves that no process is there; a full queue (EAGAIN) proves the contrary.
        return result != 0 && errno == ECONNREFUSED ? .stale : .live
    }
}
