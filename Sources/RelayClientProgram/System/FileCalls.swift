// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc

/// The calls that complete a file once its content is verified. Each returns -1 and sets `errno` as the system's own
/// do, so that a test can let any of them fail.
struct FileCalls: Sendable {
    /// fchmod(2)
    var setMode: @Sendable (_ file: Int32, _ mode: UInt32) -> Int32 = { file, mode in fchmod(file, mode) }
    /// ftruncate(2)
    var truncate: @Sendable (_ file: Int32, _ length: Int64) -> Int32 = { file, length in ftruncate(file, off_t(length))
    }
    /// fsync(2) of a file
    var syncFile: @Sendable (_ file: Int32) -> Int32 = { file in fsync(file) }
    /// fsync(2) of a folder
    var syncFolder: @Sendable (_ folder: Int32) -> Int32 = { folder in fsync(folder) }
    /// renameat2(2) with RENAME_NOREPLACE
    var rename: @Sendable (_ folder: Int32, _ from: String, _ to: String) -> Int32 = { folder, from, to in
        unsafe CLinux_rename_noreplace(folder, from, to)
    }
    /// linkat(2)
    var link: @Sendable (_ folder: Int32, _ from: String, _ to: String) -> Int32 = { folder, from, to in
        unsafe linkat(folder, from, folder, to, 0)
    }
    /// renameat(2)
    var replace: @Sendable (_ folder: Int32, _ from: String, _ to: String) -> Int32 = { folder, from, to in
        unsafe renameat(folder, from, folder, to)
    }
    /// unlinkat(2)
    var remove: @Sendable (_ folder: Int32, _ name: String) -> Int32 = { folder, name in
        unsafe unlinkat(folder, name, 0)
    }

    /// The system's own.
    static let system = FileCalls()
}
