// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Counts the descriptors that the process has open.
final class OpenDescriptors: Sendable {
    /// The address of an open stream of `/proc/self/fd`: when it matters, none could be opened any more. 0 without one.
    private let folder = Mutex<UInt>(UInt(bitPattern: unsafe opendir("/proc/self/fd")))

    deinit { folder.withLock { if let stream = unsafe OpaquePointer(bitPattern: $0) { unsafe closedir(stream) } } }

    /// How many there are now; nil when the system does not say.
    var count: Int? {
        folder.withLock { address in
            guard let stream = unsafe OpaquePointer(bitPattern: address) else { return nil }
            unsafe rewinddir(stream)
            var count = 0
            while let entry = unsafe readdir(stream) {
                // All but "." and "..".
                if unsafe entry.pointee.d_name.0 != 0x2E { count += 1 }
            }
            return count
        }
    }
}
