// SPDX-License-Identifier: Apache-2.0

import Glibc
import ServerSystem

/// The sockets that a service manager has bound for this process (sd_listen_fds(3)): `LISTEN_FDS` descriptors from 3
/// on, with the names of the unit's `FileDescriptorName=`.
enum SocketActivation {
    /// The environment variables that tell about them.
    static let variables = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]
    private static let first: CInt = 3

    /// Takes the sockets; none when they are for another process, or there are none.
    /// - Throws: ``OperatorError`` for one that is no listening socket, or has a name that means nothing here.
    static func take(
        variables: [String: String] = ServiceEnvironment.variables, process: pid_t = getpid(),
        first: CInt = first
    ) throws(OperatorError) -> InheritedSockets {
        guard variables["LISTEN_PID"].flatMap({ pid_t($0) }) == process,
            let count = variables["LISTEN_FDS"].flatMap({ CInt($0) }), count > 0, count <= 64
        else { return InheritedSockets() }
        let names = (variables["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
        var sockets: [InheritedSockets.Socket] = []
        for index in 0..<count {
            let descriptor = first + index
            let name = Int(index) < names.count ? String(names[Int(index)]) : ""
            let purpose = try purpose(of: name, descriptor)
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            sockets.append(InheritedSockets.Socket(purpose: purpose, address: nil, descriptor: descriptor))
        }
        return InheritedSockets(sockets)
    }

    private static func purpose(
        of name: String, _ descriptor: CInt
    ) throws(OperatorError) -> InheritedSockets.Purpose {
        let purpose: InheritedSockets.Purpose
        switch name {
        case "https", "http", "metrics": purpose = InheritedSockets.Purpose(rawValue: name) ?? .https
        // A unit that gives no name: systemd gives its own, or this.
        case "", "unknown": purpose = .https
        case _ where name.hasSuffix(".socket"): purpose = .https
        default:
            throw OperatorError(
                .configuration,
                "the service manager passes a socket called \"\(name)\": FileDescriptorName= is https, http or metrics"
            )
        }
        guard InheritedSockets.isListening(descriptor) else {
            throw OperatorError(
                .configuration,
                "descriptor \(descriptor) of the service manager is no listening stream socket: "
                    + "use ListenStream= and Accept=no"
            )
        }
        return purpose
    }
}
