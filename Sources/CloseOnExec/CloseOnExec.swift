// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore

/// Marks descriptors that NIO opens without O_CLOEXEC (fcntl(2)). Those that are opened here carry the flag from the
/// start.
package enum CloseOnExec {
    private static let standardStreams = 3 as CInt

    /// Marks every descriptor that is open now but the standard streams. For the descriptors of event loops: called
    /// once their group is made. What the caller of the program left open is not for its children either.
    package static func markOpen() {
        guard let folder = unsafe opendir("/proc/self/fd") else { return }
        defer { unsafe closedir(folder) }
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: CChar.self, capacity: 1) { unsafe String(cString: $0) }
            }
            guard let descriptor = CInt(name), descriptor >= standardStreams else { continue }
            mark(descriptor)
        }
    }

    /// Marks the socket of `channel`, on its event loop. Between `accept` and this, a program that is started inherits
    /// it: what starts one has to close what it does not know all the same.
    package static func mark(_ channel: any Channel) {
        // Channels of tests have no socket.
        let pipeline = channel.pipeline.syncOperations
        try? pipeline.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { mark($0) }
    }

    private static func mark(_ descriptor: CInt) {
        let flags = fcntl(descriptor, F_GETFD)
        guard flags >= 0 else { return }
        _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC)
    }
}
