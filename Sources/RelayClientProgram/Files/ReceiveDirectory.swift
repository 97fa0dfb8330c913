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
    /// What the person is told although nothing has failed.
    let remarks: Remarks

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
}
