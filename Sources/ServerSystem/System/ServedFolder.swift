// SPDX-License-Identifier: Apache-2.0

private import CProcess
private import Glibc
package import NIOCore
package import PrivateFiles

/// A folder whose files are for everyone who asks. Nothing outside of it is ever opened: no name leads out of it, by
/// dots or by links, also while it is being changed.
package struct ServedFolder: Hashable, Sendable {
    /// The path as the operator wrote it. It is looked up each time, so that a link there may be pointed elsewhere.
    package let path: String

    package init(path: String) { self.path = path }

    /// Opens what is called `name` below the folder. Waits for the disk: not for an event loop.
    /// - Throws: what the system says; EXDEV for a name that leads out of the folder.
    package func open(_ name: String) throws(SystemError) -> ServedFile {
        let folder = try SystemError.check { unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        defer { close(folder) }
        return try ServedFile(try SystemError.check { unsafe CProcess_open_beneath(folder, name) })
    }

    /// - Throws: ``OperatorError`` when nothing can be served from the folder; `setting` names it.
    package func check(_ setting: String) throws(OperatorError) {
        do {
            _ = try open(".")
        } catch {
            throw OperatorError(.configuration, "\(setting): cannot open the folder \(path): \(error)")
        }
    }
}

/// A file, or a folder, that is open for reading as long as this is kept.
package final class ServedFile: Sendable {
    /// What it is.
    package enum Kind: Hashable, Sendable {
        case regular, folder, other
    }

    private let descriptor: CInt
    package let kind: Kind
    /// Its size when it was opened.
    package let size: Int64
    /// What changes with its content: inode, size, and the time of the last change in nanoseconds.
    package let version: String

    fileprivate init(_ descriptor: CInt) throws(SystemError) {
        var status = stat()
        do {
            try SystemError.check { unsafe fstat(descriptor, &status) }
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .folder
            default: .other
            }
        size = Int64(status.st_size)
        let numbers = [
            UInt64(status.st_ino), UInt64(bitPattern: Int64(status.st_size)),
            UInt64(bitPattern: Int64(status.st_mtim.tv_sec)), UInt64(bitPattern: Int64(status.st_mtim.tv_nsec)),
        ]
        version = numbers.map { String($0, radix: 16) }.joined(separator: "-")
    }

    deinit { close(descriptor) }

    /// Up to `count` bytes from `offset` on; fewer only at the end of the file. Waits for the disk.
    package func read(at offset: Int64, count: Int) throws(SystemError) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        while buffer.readableBytes < count {
            let place = off_t(offset) + off_t(buffer.readableBytes)
            let wanted = count - buffer.readableBytes
            var result: Result<Int, SystemError> = .success(0)
            unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) { space in
                result = unsafe Self.read(descriptor, space.baseAddress, wanted, place)
                return (try? result.get()) ?? 0
            }
            if try result.get() == 0 { break }
        }
        return buffer
    }

    private static func read(
        _ file: CInt, _ space: UnsafeMutableRawPointer?, _ count: Int, _ offset: off_t
    ) -> Result<Int, SystemError> {
        do throws(SystemError) {
            return .success(try SystemError.check { unsafe pread(file, space, count, offset) })
        } catch {
            return .failure(error)
        }
    }
}
