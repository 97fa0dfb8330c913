// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc
import NIOCore
import PrivateFiles

/// An open file that is being sent: where its content and its holes are, and its bytes, read into the memory that the
/// caller gives.
struct SourceFile {
    /// What comes next in it.
    enum Extent: Hashable {
        case data(UInt64)
        case hole(UInt64)
        case end
    }

    let file: OpenFile
    /// Nil when only its end says.
    let size: UInt64?
    /// How much of it has been sent.
    private(set) var offset: UInt64
    private let hasHoles: Bool

    /// - Parameter looksForHoles: whether there may be any.
    init(_ file: OpenFile, size: UInt64?, offset: UInt64, looksForHoles: Bool) throws(SystemError) {
        self.file = file
        self.size = size
        self.offset = offset
        if looksForHoles, let size {
            hasHoles = UInt64(max(0, try file.status().st_blocks)) * 512 < size
        } else {
            hasHoles = false
        }
        if size ?? .max >= Defaults.sequentialFile { posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_SEQUENTIAL) }
    }

    /// What comes next, where its size is known.
    func nextExtent() throws(SystemError) -> Extent {
        guard let size, offset < size else { return .end }
        guard hasHoles else { return .data(size - offset) }
        guard let data = try seek(Int32(CLinux_seek_data)), data < size else { return .hole(size - offset) }
        guard data <= offset else { return .hole(data - offset) }
        guard let hole = try seek(Int32(CLinux_seek_hole)), hole > offset else { return .data(size - offset) }
        return .data(min(hole, size) - offset)
    }

    /// Where content, or a hole, is at or behind where this is; nil when there is none.
    private func seek(_ what: Int32) throws(SystemError) -> UInt64? {
        guard let start = off_t(exactly: offset) else { return nil }
        do {
            let found = try SystemError.check { lseek(file.descriptor, start, what) }
            return UInt64(max(0, found))
        } catch {
            if error.code == ENXIO { return nil }
            // A file system that knows no holes has content everywhere.
            guard error.isUnsupported else { throw error }
            return what == Int32(CLinux_seek_data) ? offset : .max
        }
    }

    /// Leaves a hole behind.
    mutating func skip(_ length: UInt64) { offset += length }

    /// Reads 1 to `length` bytes behind what is in `buffer`; returns 0 at the end.
    mutating func read(_ length: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        guard let start = off_t(exactly: offset) else { throw SystemError(code: EOVERFLOW) }
        let descriptor = file.descriptor
        let count = try unsafe buffer.read(length) { space, length in
            unsafe pread(descriptor, space, length, start)
        }
        offset += UInt64(count)
        return count
    }
}

extension ByteBuffer {
    /// Lets a system call read up to `length` bytes behind what is here.
    mutating func read(
        _ length: Int, _ call: (UnsafeMutableRawPointer?, Int) -> Int
    ) throws(SystemError) -> Int {
        var failure: SystemError?
        let count = unsafe writeWithUnsafeMutableBytes(minimumWritableBytes: length) { space in
            do throws(SystemError) {
                return try SystemError.check { unsafe call(space.baseAddress, min(length, space.count)) }
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return count
    }
}
