// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Synchronization
import TransferClient

/// The place that received files go to, by its path. What the path names is looked at before each transfer: a folder
/// that took the place of another one gets the files that are offered from then on, while those under way stay in the
/// folder that they began in.
final class ReceiveDirectory: Sendable {
    /// Absolute and without links, as it was when it was opened.
    let path: String

    private let current: Mutex<ReceiveFolder>
    private let remarks: Remarks

    /// Opens the folder at `path`. What is not right although nothing has failed is told to `warn`. Throws
    /// ``FileError`` with `cannotCreate` when there is none, it is something else, or nothing may be written there.
    static func open(_ path: String, warn: @escaping @Sendable (String) -> Void = { _ in }) throws -> ReceiveDirectory {
        do {
            return ReceiveDirectory(try ReceiveFolder(path), fallback: path, remarks: Remarks(warn))
        } catch {
            throw FileError.unusable(folder: path, error)
        }
    }

    private init(_ folder: ReceiveFolder, fallback: String, remarks: Remarks) {
        path = folder.currentPath() ?? fallback
        current = Mutex(folder)
        self.remarks = remarks
    }

    /// Makes the `.part` file for a file that was offered as `offeredName`, to be called before the offer is accepted.
    /// Throws ``FileError``: `noSpace` when `size` bytes do not fit, `cannotCreate` when no file can be made, or none
    /// of that name. `calls` complete the file; others than the system's are for tests only.
    func makeSink(offeredName: String, size: UInt64?, calls: FileCalls = .system) throws(FileError) -> FileSink {
        let folder = try folder()
        do throws(FileError) {
            return try makeSink(offeredName, size: size, in: folder, calls: calls)
        } catch  where !folder.isAt(path) {
            // Between the look at the path and the making of the file, the folder went.
            return try makeSink(offeredName, size: size, in: self.folder(), calls: calls)
        }
    }

    private func makeSink(
        _ offeredName: String, size: UInt64?, in folder: ReceiveFolder, calls: FileCalls
    ) throws(FileError) -> FileSink {
        let name = try nameWithRoom(offeredName, size: size, in: folder)
        if let ending = NameRefusal.refusedEnding(name, takes: folder.takes) {
            throw refused(name, .ending(ending), SystemError(code: EINVAL))
        }
        do throws(SystemError) {
            return try FileSink(name: name, size: size, folder: folder, remarks: remarks, calls: calls)
        } catch {
            guard !error.isFull, let refusal = NameRefusal.find(name, after: error, takes: folder.takes) else {
                throw FileError.unusable(folder: path, error)
            }
            throw refused(name, refusal, error)
        }
    }

    /// Whether a file that was offered as `offeredName` could be received now, as far as nothing has to be made to know
    /// it. Throws ``FileError``: `cannotCreate` when the folder is gone, `noSpace` when `size` bytes do not fit; a file
    /// whose size is not known may.
    func checkRoom(offeredName: String, size: UInt64?) throws(FileError) {
        _ = try nameWithRoom(offeredName, size: size, in: folder())
    }

    /// The folder that the path names now. Throws ``FileError`` when it names none.
    func folder() throws(FileError) -> ReceiveFolder {
        try current.withLock { current throws(FileError) in
            if current.isAt(path) { return current }
            do throws(SystemError) {
                current = try ReceiveFolder(withoutLinks: path)
            } catch {
                throw FileError.unusable(folder: path, error)
            }
            remarks.reset()
            remarks.say("\"\(DisplayName.escape(path))\" is another folder than before; what comes now goes there")
            return current
        }
    }

    private func nameWithRoom(_ offeredName: String, size: UInt64?, in folder: ReceiveFolder) throws(FileError)
        -> SafeFileName
    {
        let name = SafeFileName(offered: offeredName, maximumLength: folder.maximumNameLength)
        guard let size, let free = folder.freeSpace(), free < size else { return name }
        throw FileError(
            code: .noSpace,
            message: "\"\(DisplayName.escape(name.text))\" needs \(ByteFormat.string(size)) and "
                + "\"\(DisplayName.escape(path))\" has \(ByteFormat.string(free)) left: make room, then try again"
        )
    }

    private func refused(_ name: SafeFileName, _ refusal: NameRefusal, _ failure: SystemError) -> FileError {
        FileError(code: .cannotCreate, message: refusal.message(name.text, place: path, failure: failure))
    }
}
