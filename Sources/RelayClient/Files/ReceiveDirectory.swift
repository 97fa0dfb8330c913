// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The folder that received files go into, held open: every file is made relative to this handle, so that whatever
/// happens to the path meanwhile, nothing lands elsewhere.
final class ReceiveDirectory: Sendable {
    /// Absolute, as it was when it was opened.
    let path: String

    private let directory: OpenFile
    private let maximumNameLength: Int

    /// Opens the folder at `path`. Throws ``FileError`` with `cannotCreate` when there is none, it is something else,
    /// or nothing may be written there.
    static func open(_ path: String) throws -> ReceiveDirectory {
        let shown = DisplayName.escape(path)
        do {
            let directory = try OpenFile(path, flags: O_RDONLY | O_DIRECTORY)
            try SystemCall.check { unsafe faccessat(directory.descriptor, ".", W_OK | X_OK, AT_EACCESS) }
            return ReceiveDirectory(path: absolute(path), directory: directory)
        } catch {
            throw FileError(code: .cannotCreate, message: words(for: error, shown: shown))
        }
    }

    private init(path: String, directory: OpenFile) {
        self.path = path
        self.directory = directory
        let limit = fpathconf(directory.descriptor, Int32(_PC_NAME_MAX))
        maximumNameLength = limit > 0 ? min(limit, Defaults.maximumFileName) : Defaults.maximumFileName
        // A limit on file sizes (`ulimit -f`) shall be an error of the write, not the end of the process.
        signal(SIGXFSZ, SIG_IGN)
    }

    /// The bytes this user can still write here; nil where the file system does not say.
    func freeSpace() -> UInt64? {
        var space = statvfs()
        guard (try? SystemCall.check { unsafe fstatvfs(directory.descriptor, &space) }) != nil, space.f_blocks > 0
        else {
            return nil
        }
        let (bytes, overflow) = UInt64(space.f_bavail).multipliedReportingOverflow(by: UInt64(space.f_frsize))
        return overflow ? nil : bytes
    }

    /// Makes the `.part` file for a file that was offered as `offeredName`, to be called before the offer is accepted.
    /// Throws ``FileError``: `noSpace` when `size` bytes do not fit, `cannotCreate` when no file can be made.
    func makeSink(offeredName: String, size: UInt64?) throws -> any ContentSink {
        try makeFileSink(offeredName: offeredName, size: size)
    }

    /// ``makeSink(offeredName:size:)`` with its type.
    func makeFileSink(offeredName: String, size: UInt64?) throws -> FileSink {
        let name = SafeFileName(offered: offeredName, maximumLength: maximumNameLength)
        try checkRoom(for: name, size: size)
        do {
            return try FileSink(name: name, size: size, directory: directory, directoryPath: path)
        } catch  where error.isFull {
            throw FileError(
                code: .noSpace,
                message: "\"\(DisplayName.escape(path))\" has no room for another file: make room, then try again"
            )
        } catch {
            throw FileError(code: .cannotCreate, message: Self.words(for: error, shown: DisplayName.escape(path)))
        }
    }

    /// Whether a file that was offered as `offeredName` fits now. Throws ``FileError`` with `noSpace` when `size` bytes do
    /// not; one whose size is not known may.
    func checkRoom(offeredName: String, size: UInt64?) throws {
        try checkRoom(for: SafeFileName(offered: offeredName, maximumLength: maximumNameLength), size: size)
    }

    private func checkRoom(for name: SafeFileName, size: UInt64?) throws {
        guard let size, let free = freeSpace(), free < size else { return }
        throw FileError(
            code: .noSpace,
            message: "\"\(DisplayName.escape(name.text))\" needs \(ByteFormat.string(size)) and "
                + "\"\(DisplayName.escape(path))\" has \(ByteFormat.string(free)) left: make room, then try again"
        )
    }

    private static func absolute(_ path: String) -> String {
        guard let resolved = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    private static func words(for failure: SystemFailure, shown: String) -> String {
        switch failure.number {
        case ENOENT: "the folder \"\(shown)\" does not exist: make it first, or name another with --output"
        case ENOTDIR: "\"\(shown)\" is not a folder: name one with --output"
        default: "cannot make files in \"\(shown)\": \(failure); name another folder with --output"
        }
    }
}
