// SPDX-License-Identifier: Apache-2.0

private import CProcess
import Glibc

/// What the system says about the process's memory (proc(5), cgroups(7)).
enum ProcessMemory {
    /// Bytes in memory now; nil when the system does not say.
    static var resident: UInt64? {
        guard let text = text(of: "/proc/self/statm") else { return nil }
        let pageSize = UInt64(clamping: sysconf(CInt(_SC_PAGESIZE)))
        return text.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 &* pageSize }
    }

    /// The limit of the control group that the process is in, such as a service's `MemoryMax=`; nil when there is none.
    static var groupLimit: UInt64? {
        guard let groups = text(of: "/proc/self/cgroup"),
            let group = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })?.dropFirst(3)
        else { return nil }
        let folder = group == "/" ? "" : String(group)
        return text(of: "/sys/fs/cgroup\(folder)/memory.max").flatMap { text in
            text.split(separator: "\n").first.flatMap { UInt64($0) }
        }
    }

    /// Gives what the allocator keeps for later back to the system.
    static func trim() { CProcess_trim_memory() }

    private static func text(of path: String) -> String? {
        guard let contents = try? BoundedFile.read(path, limit: Defaults.Memory.reportSize) else { return nil }
        return String(decoding: contents, as: UTF8.self)
    }
}
