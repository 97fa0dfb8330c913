// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What changes when a process writes to a file, or puts another one in its place: device, number, size, and the times
/// of modification and of change. Kept as a hash, for there may be millions; one whose seed only this process knows, so
/// that no program can make two that agree.
struct SourceVersion: Hashable, Sendable {
    private let hash: Int

    /// Of a file or a link.
    init(_ status: stat) {
        var hasher = Hasher()
        Self.eachWord(of: status) { hasher.combine($0) }
        hash = hasher.finalize()
    }

    /// Of a folder, which stays the same when names in it come and go: what was found in it is what is sent.
    init(folder status: stat) { hash = OpenFile.Identity(status).hashValue }

    /// All that is compared, as 64-bit words.
    static func eachWord(of status: stat, _ body: (UInt64) -> Void) {
        body(UInt64(status.st_dev))
        body(UInt64(status.st_ino))
        body(UInt64(bitPattern: Int64(status.st_size)))
        body(UInt64(bitPattern: Int64(status.st_mtim.tv_sec)))
        body(UInt64(bitPattern: Int64(status.st_mtim.tv_nsec)))
        body(UInt64(bitPattern: Int64(status.st_ctim.tv_sec)))
        body(UInt64(bitPattern: Int64(status.st_ctim.tv_nsec)))
    }
}
