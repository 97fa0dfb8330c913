// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Listening sockets that another process has bound: a service manager, or the relay whose place this one takes.
///
/// Each is taken once; those that are not taken are closed with this, or before.
package final class InheritedSockets: Sendable {
    /// What connections to a socket are for.
    package enum Purpose: String, Sendable, CaseIterable, Codable {
        case https, http, metrics, admin
    }

    /// One socket.
    package struct Socket: Hashable, Sendable {
        package var purpose: Purpose
        /// The address it was configured with; nil for one that a service manager has chosen, which takes the place of
        /// whatever is configured.
        package var address: String?
        package var descriptor: CInt

        package init(purpose: Purpose, address: String?, descriptor: CInt) {
            self.purpose = purpose
            self.address = address
            self.descriptor = descriptor
        }
    }

    private let sockets: Mutex<[Socket]>

    package init(_ sockets: [Socket] = []) { self.sockets = Mutex(sockets) }

    deinit { closeRest() }

    /// Closes those that were not taken.
    package func closeRest() {
        let rest = sockets.withLock { sockets in
            defer { sockets = [] }
            return sockets
        }
        for socket in rest { close(socket.descriptor) }
    }

    /// Takes all sockets of `purpose` that stand in for what is configured.
    package func chosen(_ purpose: Purpose) -> [CInt] {
        take { $0.purpose == purpose && $0.address == nil }
    }

    /// Takes the socket of `purpose` that was configured as `address`.
    package func take(_ purpose: Purpose, _ address: String?) -> CInt? {
        sockets.withLock { sockets in
            guard let index = sockets.firstIndex(where: { $0.purpose == purpose && $0.address == address }) else {
                return nil
            }
            return sockets.remove(at: index).descriptor
        }
    }

    private func take(_ isWanted: (Socket) -> Bool) -> [CInt] {
        sockets.withLock { sockets in
            defer { sockets.removeAll(where: isWanted) }
            return sockets.filter(isWanted).map(\.descriptor)
        }
    }

    /// Whether `descriptor` is a stream socket that listens.
    package static func isListening(_ descriptor: CInt) -> Bool {
        option(SO_ACCEPTCONN, of: descriptor) == 1 && option(SO_TYPE, of: descriptor) == CInt(SOCK_STREAM.rawValue)
    }

    private static func option(_ option: CInt, of descriptor: CInt) -> CInt? {
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        return unsafe getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 ? value : nil
    }
}
