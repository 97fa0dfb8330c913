// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc
import Synchronization

/// What the process asks of the system before it serves.
package enum ProcessLimits {
    /// Raises the limit of open descriptors to what the system allows, forbids memory dumps (they would hold keys and
    /// other people's files), and keeps new files private.
    /// - Returns: how many descriptors the process may have.
    package static func apply() -> Int {
        _ = umask(0o077)
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        _ = CLinux_set_not_dumpable()
        return raiseDescriptors()
    }

    /// How many descriptors the process may have now: the limit can be changed from outside (prlimit(1)).
    package static var descriptors: Int? {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return Int(clamping: limit.rlim_cur)
    }

    private static func raiseDescriptors() -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard unsafe getrlimit(resource, &limit) == 0 else { return SystemDefaults.assumedDescriptors }
        let before = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        let now = unsafe setrlimit(resource, &limit) == 0 ? limit.rlim_max : before
        return Int(clamping: now)
    }
}

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
