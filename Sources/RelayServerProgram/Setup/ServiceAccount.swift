// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import PrivateFiles
import ServerSystem

/// The user that the relay runs as, and what `setup` puts where that user can read it.
struct ServiceAccount: Hashable, Sendable {
    let name: String
    private let user: uid_t
    private let group: gid_t
    /// Whether files can be given to another user.
    private let isRoot: Bool

    /// - Throws: ``OperatorError`` when there is no such user.
    init(named name: String) throws(OperatorError) {
        isRoot = geteuid() == 0
        self.name = name
        guard let entry = unsafe getpwnam(name) else {
            throw OperatorError(
                .configuration,
                "there is no user \(name): adduser --system --group --no-create-home \(name), or name another with --user"
            )
        }
        user = unsafe entry.pointee.pw_uid
        group = unsafe entry.pointee.pw_gid
        guard isRoot || user == geteuid() else {
            throw OperatorError(
                .configuration,
                "only root can set up a relay for the user \(name): use sudo, or --user with your own name"
            )
        }
    }

    /// Writes a file as a whole that root owns, if root writes it, and that the group of the account may read, unless
    /// `mode` says something else.
    func write(_ text: String, to path: String, mode: mode_t = 0o640) throws(OperatorError) {
        let folder = Self.folder(of: path)
        let name = String(path.dropFirst(folder.count).drop { $0 == "/" })
        do {
            let descriptor = try SystemError.check { unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
            defer { close(descriptor) }
            _ = unsafe unlinkat(descriptor, name + ".new", 0)
            // Before the file has its name: no reader of it is ever kept out, or let in too far.
            let own = { (step: AtomicFile.Step) in
                guard step == .written else { return }
                try self.own(StateDirectory.path(of: name + ".new", in: folder), mode: mode)
            }
            try AtomicFile.write(Data(text.utf8), to: name, in: descriptor, by: name + ".new", reached: own)
        } catch {
            throw OperatorError(.cannotCreate, "cannot write \(path): \(error)")
        }
    }

    /// Makes the folder of the configuration if it is not there.
    func makeFolder(_ path: String) throws(OperatorError) {
        guard !SystemCommand.exists(path) else { return }
        do {
            try PrivateFolder.make(path)
            try own(path, mode: 0o750)
        } catch {
            throw OperatorError(.cannotCreate, "cannot make the folder \(path): \(error)")
        }
    }

    /// Makes the state directory if it is not there; it is the account's alone.
    func makeState(_ path: String) throws(OperatorError) {
        guard !SystemCommand.exists(path) else { return }
        do {
            try PrivateFolder.make(path)
            if isRoot { try SystemError.check { unsafe chown(path, user, group) } }
        } catch {
            throw OperatorError(.cannotCreate, "cannot make the folder \(path): \(error)")
        }
    }

    /// What follows is done as the account, to files that are the relay's own.
    func become() throws(OperatorError) {
        guard isRoot else { return }
        guard setegid(group) == 0, seteuid(user) == 0 else {
            throw OperatorError(.configuration, "cannot act as the user \(name): \(SystemError.last)")
        }
    }

    private func own(_ path: String, mode: mode_t) throws(SystemError) {
        if isRoot { try SystemError.check { unsafe chown(path, 0, group) } }
        try SystemError.check { unsafe chmod(path, mode) }
    }

    /// The folder that `path` is in.
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
