// SPDX-License-Identifier: Apache-2.0

private import CProcess
import Glibc
import PrivateFiles

/// What the system says about the process's memory (proc(5), cgroups(7)).
package enum ProcessMemory {
    /// Open from the first look on: when it matters most there may be no descriptor for it any more.
    private static let statm = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)

    /// Bytes in memory now; nil when the system does not say.
    package static var resident: UInt64? {
        // Seven numbers of at most 20 digits.
        var report = [UInt8](repeating: 0, count: 256)
        let count = unsafe report.withUnsafeMutableBytes { unsafe pread(statm, $0.baseAddress, $0.count, 0) }
        guard count > 0 else { return nil }
        let pageSize = UInt64(clamping: sysconf(CInt(_SC_PAGESIZE)))
        return report.prefix(count).split(separator: 0x20).dropFirst().first
            .flatMap { UInt64(String(decoding: $0, as: UTF8.self)) }.map { $0 &* pageSize }
    }

    /// Processor time that the process has used, in milliseconds.
    package static var processorTime: UInt64 {
        var usage = rusage()
        guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
        func milliseconds(_ time: timeval) -> UInt64 {
            UInt64(clamping: time.tv_sec) &* 1000 &+ UInt64(clamping: time.tv_usec) / 1000
        }
        return milliseconds(usage.ru_utime) &+ milliseconds(usage.ru_stime)
    }

    /// The limit of the control group that the process is in, such as a service's `MemoryMax=`; nil when there is none.
    package static var groupLimit: UInt64? {
        guard let groups = text(of: "/proc/self/cgroup"),
            let group = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })?.dropFirst(3)
        else { return nil }
        let folder = group == "/" ? "" : String(group)
        return text(of: "/sys/fs/cgroup\(folder)/memory.max").flatMap { text in
            text.split(separator: "\n").first.flatMap { UInt64($0) }
        }
    }

    /// Gives what the allocator keeps for later back to the system.
    package static func trim() { CProcess_trim_memory() }

    private static func text(of path: String) -> String? {
        guard let contents = try? BoundedFile.read(path, limit: SystemDefaults.reportSize) else { return nil }
        return String(decoding: contents, as: UTF8.self)
    }
}
