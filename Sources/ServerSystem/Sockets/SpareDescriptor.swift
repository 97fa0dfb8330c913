// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// A descriptor kept open for the time when there are no others: with its place, connections can still be accepted, to
/// be closed at once. Without that they would stay in the kernel's queue, and the listener ready, for ever.
final class SpareDescriptor: Sendable {
    /// Negative while there is none.
    private let descriptor = Mutex<CInt>(SpareDescriptor.open())

    deinit { descriptor.withLock { if $0 >= 0 { close($0) } } }

    /// Closes up to `most` connections that wait at the socket `listener`, which must not block.
    /// - Returns: how many; 0 when the place was lost to another thread that wanted a descriptor.
    func turnAway(at listener: CInt, atMost most: Int) -> Int {
        descriptor.withLock { spare in
            if spare < 0 { spare = Self.open() }
            guard spare >= 0 else { return 0 }
            close(spare)
            var count = 0
            while count < most {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { break }
                close(connection)
                count += 1
            }
            spare = Self.open()
            return count
        }
    }

    private static func open() -> CInt { unsafe Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC) }
}
