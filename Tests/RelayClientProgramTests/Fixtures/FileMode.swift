// SPDX-License-Identifier: Apache-2.0

import Glibc

@testable import RelayClientProgram

/// The permissions of files that are made for the person.
enum FileMode {
    /// What any program's new file would have: readable and writable as the person's umask allows, never executable.
    static let ofNewFiles: mode_t = 0o666 & ~currentMask()

    /// The umask, from the kernel's own account of the process: asking the usual way means changing it for a moment,
    /// visibly to other threads. Where that account is missing, only the owner gets any permissions.
    private static func currentMask() -> mode_t {
        guard let status = try? OpenFile("/proc/self/status", flags: O_RDONLY) else { return 0o077 }
        let text = unsafe String(unsafeUninitializedCapacity: 4096) { space in
            unsafe Swift.max(0, read(status.descriptor, space.baseAddress, space.count))
        }
        let line = text.split(separator: "\n").first { line in line.hasPrefix("Umask:") }
        return line.flatMap { line in mode_t(line.dropFirst(6).filter(\.isWholeNumber), radix: 8) } ?? 0o077
    }
}
