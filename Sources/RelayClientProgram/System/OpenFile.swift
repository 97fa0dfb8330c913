// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc
import NIOCore
import PrivateFiles

/// An open file of the system, closed with its last reference: work that was given up on a blocking thread keeps
/// its file open until it is through, so that its number cannot come to mean another file meanwhile.
final class OpenFile: Sendable {
    let descriptor: Int32

    /// Takes over `descriptor`.
    init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Opens `path`, relative to `directory` or to the working directory; never inherited by other programs.
    convenience init(
        _ path: String, in directory: OpenFile? = nil, flags: Int32, mode: mode_t = 0
    ) throws(SystemError) {
        let base = directory?.descriptor ?? AT_FDCWD
        self.init(descriptor: try SystemError.check { unsafe openat(base, path, flags | O_CLOEXEC, mode) })
    }

    /// Closes the file before its last reference goes: whatever is done with it from now on fails. Its number stays
    /// taken.
    func letGo() {
        guard let nothing = try? OpenFile("/", flags: Int32(CLinux_path_only)) else { return }
        CLinux_replace(descriptor, nothing.descriptor)
    }

    /// Which file it is, whatever it is called.
    func identity() throws(SystemError) -> Identity {
        Identity(try status())
    }

    /// What the system knows about it.
    func status() throws(SystemError) -> stat {
        var status = stat()
        try SystemError.check { unsafe fstat(descriptor, &status) }
        return status
    }

    /// Reads what is at `offset`, at most so many bytes; returns how many there were, which is none at the end.
    func read(into buffer: inout ByteBuffer, atMost count: Int, at offset: UInt64) throws(SystemError) -> Int {
        guard let position = off_t(exactly: offset) else { return 0 }
        var failure: SystemError?
        let length = unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { space in
            do throws(SystemError) {
                let part = unsafe UnsafeMutableRawBufferPointer(rebasing: space.prefix(count))
                return try SystemError.check { unsafe pread(descriptor, part.baseAddress, part.count, position) }
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return length
    }

    /// The path that the kernel knows for it; of one that was removed it says "… (deleted)".
    func path() -> String? {
        let path = "/proc/self/fd/\(descriptor)"
        var space = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink(path, &space, space.count)
        return count > 0 ? String(decoding: space.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
    }

    /// What the name `path` means, itself and not what it leads to if it is a link; relative to `directory` or to the
    /// working directory. Nil when there is nothing, or it cannot be seen.
    static func status(of path: String, in directory: OpenFile? = nil) -> stat? {
        var status = stat()
        let base = directory?.descriptor ?? AT_FDCWD
        return unsafe fstatat(base, path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status : nil
    }

    /// What makes two names the same file.
    struct Identity: Hashable, Sendable {
        let device: UInt64
        let number: UInt64

        /// Takes the identity out of `status`.
        init(_ status: stat) {
            self.init(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
        }

        init(device: UInt64, number: UInt64) {
            self.device = device
            self.number = number
        }
    }
}
