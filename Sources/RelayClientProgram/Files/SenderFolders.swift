// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TransferClient

/// The folders that policies name, each opened when something goes there first.
final class SenderFolders: Sendable {
    private let options: ReceivedOptions
    private let warn: @Sendable (String) -> Void
    private let folders = Mutex<[String: ReceivedParts]>([:])

    /// - Parameter warn: told what is not right although nothing has failed.
    init(options: ReceivedOptions, warn: @escaping @Sendable (String) -> Void) {
        self.options = options
        self.warn = warn
    }

    /// What is received in the folder at `path`. Blocks. Throws when it cannot be used.
    func parts(in path: String) throws(FileError) -> ReceivedParts {
        try folders.withLock { folders throws(FileError) in
            if let known = folders[path] { return known }
            let parts: ReceivedParts
            do {
                parts = ReceivedParts(directory: try ReceiveDirectory.open(path, warn: warn), options: options)
            } catch {
                throw ClientError(error).file ?? FileError(code: .cannotCreate, message: "\(error)")
            }
            folders[path] = parts
            return parts
        }
    }
}
