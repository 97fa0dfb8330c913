// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import PrivateFiles
import ServerSystem
import TransferBroker
import WSProtocol

/// The prekeys of the users of a single relay: a file for each user, in a folder of the state directory.
///
/// They are not in the registry's file, which is rewritten whole: each user brings another prekey each month. One that
/// is lost comes back with the user's next login.
struct PrekeyFiles: Sendable {
    static let folder = "prekeys"
    /// No name begins with a full stop.
    private static let temporaryName = ".new"

    let directory: StateDirectory

    /// What stands in a file. The identity says whose it is: a name may have changed hands since it was written.
    private struct Contents: Codable {
        var key: SigningKey
        var prekey: PublishedPrekey
    }

    private func path(of name: PeerName) -> String { "\(Self.folder)/\(name.rawValue)" }

    /// The prekey of `user`; nil when there is none, or it cannot be read.
    func prekey(of user: User) -> PublishedPrekey? {
        let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        let file = unsafe openat(directory.descriptor, path(of: user.name), flags)
        guard file >= 0 else { return nil }
        defer { close(file) }
        guard let bytes = try? BoundedFile.read(file, limit: Defaults.Users.maximumPrekeySize),
            let contents = StrictJSON.decode(Contents.self, from: bytes), contents.key == user.key
        else { return nil }
        return contents.prekey
    }

    /// Records `prekey` as that of `user`, durably. One caller at a time.
    func write(_ prekey: PublishedPrekey, of user: User) throws {
        let folder = try openFolder()
        defer { close(folder) }
        // A leftover of a process that was killed.
        unsafe unlinkat(folder, Self.temporaryName, 0)
        try AtomicFile.write(
            try StrictJSON.data(of: Contents(key: user.key, prekey: prekey)), to: user.name.rawValue, in: folder,
            by: Self.temporaryName
        )
    }

    /// Forgets what is recorded of `name`. What cannot be removed is of no use to the next owner.
    func remove(_ name: PeerName) { unsafe unlinkat(directory.descriptor, path(of: name), 0) }

    private func openFolder() throws -> CInt {
        if unsafe mkdirat(directory.descriptor, Self.folder, PrivateFolder.mode) == 0 {
            try SystemError.check { fsync(directory.descriptor) }
        } else if SystemError.last.code != EEXIST {
            throw SystemError.last
        }
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW
        return try SystemError.check { unsafe openat(directory.descriptor, Self.folder, flags) }
    }
}
