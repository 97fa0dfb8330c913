// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles

/// Where a received content is, once it has its final name.
struct StoredContent: Sendable {
    /// Its absolute path when it was stored; `-` for standard output.
    let path: String

    private let folder: ReceiveFolder?
    private let name: String
    private let identity: OpenFile.Identity?
    private let format: mode_t

    /// Content that went to standard output.
    static let standardOutput = StoredContent(path: "-", folder: nil, name: "-", identity: nil, format: S_IFREG)

    /// What is called `name` in `folder`, with that `identity`: a file, a folder or a link, as `format` says.
    init(_ name: String, in folder: ReceiveFolder, identity: OpenFile.Identity, format: mode_t = S_IFREG) {
        self.init(path: folder.path(of: name), folder: folder, name: name, identity: identity, format: format)
    }

    private init(path: String, folder: ReceiveFolder?, name: String, identity: OpenFile.Identity?, format: mode_t) {
        self.identity = identity
        self.format = format
        self.path = path
        self.folder = folder
        self.name = name
    }

    /// The bytes of it, where it is a file that is there.
    var fileSize: UInt64? {
        guard format == S_IFREG, let folder, let status = OpenFile.status(of: name, in: folder.handle) else {
            return nil
        }
        return UInt64(max(0, status.st_size))
    }

    /// Its path now, which is another one after its folder was moved; nil when it is not there any more. Another file
    /// of the same name, there or in a folder that took the old one's place, is not it.
    func currentPath() -> String? {
        guard let folder else { return path }
        guard folder.currentPath() != nil, let status = OpenFile.status(of: name, in: folder.handle),
            // The number of a file that was removed may be given to the next one of any kind.
            status.st_mode & S_IFMT == format, OpenFile.Identity(status) == identity
        else { return nil }
        return folder.path(of: name)
    }
}
