// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where a received content is, once it has its final name.
struct StoredContent: Sendable {
    /// Its absolute path when it was stored; `-` for standard output.
    let path: String

    private let folder: ReceiveFolder?
    private let name: String
    private let identity: OpenFile.Identity?

    /// Content that went to standard output.
    static let standardOutput = StoredContent(path: "-", folder: nil, name: "-", identity: nil)

    /// The file `name` in `folder`, which is the one with that `identity`.
    init(_ name: String, in folder: ReceiveFolder, identity: OpenFile.Identity) {
        self.init(path: folder.path(of: name), folder: folder, name: name, identity: identity)
    }

    private init(path: String, folder: ReceiveFolder?, name: String, identity: OpenFile.Identity?) {
        self.identity = identity
        self.path = path
        self.folder = folder
        self.name = name
    }

    /// Its path now, which is another one after its folder was moved; nil when it is not there any more. Another file of
    /// the same name, there or in a folder that took the old one's place, is not it.
    func currentPath() -> String? {
        guard let folder else { return path }
        guard folder.currentPath() != nil, let status = OpenFile.status(of: name, in: folder.handle),
            // The number of a file that was removed may be given to the next one of any kind.
            status.st_mode & S_IFMT == S_IFREG, OpenFile.Identity(status) == identity
        else { return nil }
        return folder.path(of: name)
    }
}
