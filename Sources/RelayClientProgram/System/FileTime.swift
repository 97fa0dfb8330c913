// SPDX-License-Identifier: Apache-2.0

// Which of the two modules has the system's type for a time depends on the order in which a compiler meets them, so the
// type is named where both are at hand.
private import CLinux
import Glibc

/// When a file was modified, as its file system has it.
struct FileTime: Hashable, Sendable {
    /// Since 1970.
    let seconds: Int
    /// The rest of that.
    let nanoseconds: Int

    init(seconds: Int, nanoseconds: Int) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Takes the time out of `status`.
    init(modified status: stat) {
        self.init(seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
    }

    /// What the clock says.
    static var now: FileTime {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return FileTime(seconds: now.tv_sec, nanoseconds: now.tv_nsec)
    }

    /// Milliseconds since 1970.
    var milliseconds: UInt64 { UInt64(clamping: seconds) &* 1_000 &+ UInt64(clamping: nanoseconds) / 1_000_000 }

    /// Makes it the time of what is open; -1 and `errno` say that it was refused.
    func set(of file: Int32) -> Int32 { unsafe futimens(file, both) }

    /// Makes it the time of the link `name` in `folder`, and not of what that leads to.
    func set(ofLink name: String, in folder: Int32) -> Int32 {
        unsafe utimensat(folder, name, both, AT_SYMLINK_NOFOLLOW)
    }

    /// The time of the last access, which is left as it is (UTIME_OMIT), and this one.
    private var both: [timespec] {
        [timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2), timespec(tv_sec: seconds, tv_nsec: nanoseconds)]
    }
}
