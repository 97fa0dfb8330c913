// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Synchronization
import TransferClient

/// One regular file to send. It has to stay as it was when it was first looked at: a file that grows, shrinks, is
/// written to or replaced meanwhile is reported instead of sent as something that never existed. Held open only from
/// its first read to ``close()``, so that any number of files can wait for their turn.
final class FileSource: ContentSource {
    let name: String
    let size: UInt64?

    let isRepeatable = true

    private let path: String
    private let shownPath: String
    private let version: Version
    private let state: Mutex<State>

    private struct State {
        /// Nil before the first read, and once it is closed.
        var file: OpenFile?
        var isClosed = false
        var offset: Int64 = 0
    }

    /// What changes when a process writes to a file, or puts another one in its place.
    private struct Version: Hashable {
        let identity: OpenFile.Identity
        let size: Int64
        let seconds: Int
        let nanoseconds: Int

        init(_ status: stat) {
            identity = OpenFile.Identity(status)
            size = Int64(status.st_size)
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
        }
    }

    /// Looks at the file at `path`, following links because the person named it. Throws ``FileError`` with
    /// `cannotRead` when there is none, it may not be read, or it is not a regular file.
    static func open(_ path: String) throws -> FileSource {
        let shown = DisplayName.escape(path)
        do {
            let file = try OpenFile(path, flags: flags)
            let status = try file.status()
            switch status.st_mode & S_IFMT {
            case S_IFREG: return try FileSource(path: path, shown: shown, file: file, status: status)
            case S_IFDIR:
                throw FileError(
                    code: .cannotRead,
                    message: "\"\(shown)\" is a folder, and relay-client sends files only: send the files in it, "
                        + "or a tar of it through standard input (tar c FOLDER | relay-client send NAME -)"
                )
            default:
                throw FileError(
                    code: .cannotRead,
                    message: "\"\(shown)\" is not a regular file: send its content through standard input "
                        + "(relay-client send NAME - < FILE)"
                )
            }
        } catch let failure as SystemError {
            // Where a byte that is no UTF-8 stood, a replacement stands, and that is another name.
            let isReplaced = failure.code == ENOENT && path.unicodeScalars.contains("\u{fffd}")
            let reason =
                isReplaced ? "its name is not UTF-8: rename it, or send its content through standard input" : nil
            throw FileError(code: .cannotRead, message: "cannot read \"\(shown)\": \(reason ?? failure.phrase)")
        }
    }

    /// Without O_NONBLOCK, opening a named pipe would wait for a process that writes to it.
    private static let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY

    private init(path: String, shown: String, file: OpenFile, status: stat) throws {
        name = path.split(separator: "/").last.map(String.init) ?? path
        self.path = path
        shownPath = shown
        version = Version(status)
        // Files of /proc and the like say that they are empty and are not: nothing is known about their size.
        var probe: UInt8 = 0
        let looksEmpty = status.st_size == 0
        let hasContent = try looksEmpty && SystemError.check { unsafe pread(file.descriptor, &probe, 1, 0) } > 0
        size = hasContent ? nil : UInt64(max(0, status.st_size))
        state = Mutex(State())
    }

    func read(max: Int) async throws(ClientError) -> ByteBuffer? {
        let wanted = Swift.max(1, Swift.min(max, Defaults.maximumRead))
        return try await BlockingWork.files.run { [self] in
            do {
                return try state.withLock { state in try readNext(wanted, &state) }
            } catch let failure as SystemError {
                throw FileError(code: .readFailed, message: "reading \"\(shownPath)\" failed: \(failure.phrase)")
            }
        }
    }

    /// Begins again from the first byte, if the path still means the same file as it was.
    func rewind() async throws(ClientError) {
        try await BlockingWork.files.run { [self] in
            var status = stat()
            do throws(SystemError) {
                try SystemError.check { unsafe stat(path, &status) }
            } catch {
                throw absent(error)
            }
            guard Version(status) == version else { throw changedBetween }
            state.withLock { state in state.offset = 0 }
        }
    }

    func close() {
        state.withLock { state in
            state.file = nil
            state.isClosed = true
        }
    }

    /// The open file; opened now, if it has not been, and then still the one that was looked at.
    private func file(_ state: inout State) throws -> OpenFile {
        if let file = state.file { return file }
        guard !state.isClosed else {
            throw FileError(code: .readFailed, message: "reading \"\(shownPath)\" went on after it was closed")
        }
        let file: OpenFile
        do throws(SystemError) {
            file = try OpenFile(path, flags: Self.flags)
        } catch {
            throw absent(error)
        }
        guard Version(try file.status()) == version else { throw changedBetween }
        posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
        state.file = file
        return file
    }

    private func readNext(_ wanted: Int, _ state: inout State) throws -> ByteBuffer? {
        let file = try file(&state)
        // One byte past the known end is asked for as well: if it is there, the file has grown.
        let left = size.map { size in size - min(size, UInt64(state.offset)) }
        let length = left.map { left in Int(min(UInt64(wanted), left)) } ?? wanted
        var buffer = ByteBuffer()
        let offset = state.offset
        let count = try unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: Swift.max(1, length)) { space in
            try SystemError.check {
                unsafe pread(file.descriptor, space.baseAddress, Swift.max(1, length), off_t(offset))
            }
        }
        guard let left else {
            state.offset += Int64(count)
            return count == 0 ? nil : buffer
        }
        if left == 0 {
            guard count == 0 else { throw changed("grew") }
            try checkUnchanged(file)
            return nil
        }
        guard count > 0 else { throw changed("became shorter") }
        state.offset += Int64(count)
        return buffer
    }

    private func checkUnchanged(_ file: OpenFile) throws {
        guard Version(try file.status()) == version else { throw changed("was written to") }
    }

    /// The file cannot be opened any more.
    private func absent(_ failure: SystemError) -> FileError {
        guard !Self.isChange(failure) else { return changedBetween }
        return FileError(code: .readFailed, message: "\"\(shownPath)\" cannot be opened any more: \(failure.phrase)")
    }

    /// Whether `failure`, of a file that could be opened before, means that its path names another one or none, and not
    /// that the system or the disk cannot open it now.
    static func isChange(_ failure: SystemError) -> Bool {
        switch failure.code {
        case ENOENT, ENOTDIR, EISDIR, ELOOP, ENXIO: true
        default: false
        }
    }

    private var changedBetween: FileError {
        FileError(
            code: .changed,
            message: "\"\(shownPath)\" was changed, moved or removed before all of it was sent: "
                + "send it again once nothing writes to it, or send a copy"
        )
    }

    private func changed(_ how: String) -> FileError {
        FileError(
            code: .changed,
            message: "\"\(shownPath)\" \(how) while it was being sent: "
                + "send it again once nothing writes to it, or send a copy"
        )
    }
}
