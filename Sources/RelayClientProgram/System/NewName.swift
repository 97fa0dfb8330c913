// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles

/// Gives what was received its final name, without replacing anything unless that is what is asked for.
///
/// AtomicFile is for small files, written at once in one folder: what comes here was written and synced over hours, may
/// be a folder or go into another one, and goes by ways that file systems of a network have, too.
enum NewName {
    /// How the name is given. What one file system refuses, with whatever number, another way may do: each is tried, in
    /// this order.
    enum Method: CaseIterable, Sendable {
        /// One atomic `renameat2` that fails where the name is taken.
        case rename
        /// A second hard link, which fails where the name is taken, and then the first is removed. No folder has one.
        case link
        /// An empty file or folder of the name, which is made only where there is none, and then replaced. Other
        /// programs see that one in between.
        case reserve
    }

    /// What came of it.
    enum Outcome: Hashable, Sendable {
        /// Something of that name exists, be it a file, a folder or a link to nowhere; nothing has changed.
        case taken
        /// The file has the name. With `leftover` it has its old name, too, which could not be removed.
        case given(leftover: SystemError? = nil)
    }

    /// Gives what is called `partial` in `directory` the name `final`, in `target` or else in the same folder. Throws
    /// what the last of `methods` said, and then it still has its old name.
    static func give(
        _ final: String, to partial: String, in directory: OpenFile, movingTo target: OpenFile? = nil,
        by methods: [Method] = Method.allCases, calls: FileCalls = .system
    ) throws(SystemError) -> Outcome {
        guard let status = OpenFile.status(of: partial, in: directory) else { throw SystemError.last }
        let name = Name(
            directory: directory, partial: partial, target: target ?? directory, final: final,
            isFolder: status.st_mode & S_IFMT == S_IFDIR
        )
        let identity = OpenFile.Identity(status)
        var failure = SystemError(code: EINVAL)
        for method in methods where !(name.isFolder && method == .link) {
            do {
                return .given(leftover: try give(name, method, calls))
            } catch {
                // On a network's file system the call may have been done, and its answer lost.
                if self.identity(of: final, in: name.target) == identity {
                    return .given(leftover: name.isFolder ? nil : remove(name, calls))
                }
                if error.code == EEXIST || (name.isFolder && error.code == ENOTEMPTY) { return .taken }
                failure = error
            }
        }
        throw failure
    }

    /// Gives the file or link that is called `partial` in `directory` the name `final` in `target`, in the place of
    /// what has that name, in one step. A folder stays, and then the name is taken. Throws when it cannot be, and then
    /// it still has its old name.
    static func replace(
        _ final: String, with partial: String, in directory: OpenFile, movingTo target: OpenFile,
        calls: FileCalls = .system
    ) throws(SystemError) -> Outcome {
        guard let status = OpenFile.status(of: partial, in: directory) else { throw SystemError.last }
        do throws(SystemError) {
            try SystemError.check { calls.replace(directory.descriptor, partial, target.descriptor, final) }
        } catch {
            // On a network's file system the call may have been done, and its answer lost.
            if identity(of: final, in: target) == OpenFile.Identity(status) { return .given() }
            if error.code == EISDIR { return .taken }
            throw error
        }
        return .given()
    }

    /// The old name and the new one.
    private struct Name {
        let directory: OpenFile
        let partial: String
        let target: OpenFile
        let final: String
        let isFolder: Bool
    }

    /// One way; returns why the old name is still there, if it is.
    private static func give(_ name: Name, _ method: Method, _ calls: FileCalls) throws(SystemError) -> SystemError? {
        let (from, to) = (name.directory.descriptor, name.target.descriptor)
        switch method {
        case .rename:
            try SystemError.check { calls.rename(from, name.partial, to, name.final) }
            return nil
        case .link:
            try SystemError.check { calls.link(from, name.partial, to, name.final) }
            // The content is there under its final name; a second name left behind is no reason to fail.
            return remove(name, calls)
        case .reserve:
            let reserved = try reserve(name)
            do {
                try SystemError.check { calls.replace(from, name.partial, to, name.final) }
            } catch {
                if identity(of: name.final, in: name.target) == reserved {
                    if name.isFolder {
                        unsafe unlinkat(to, name.final, AT_REMOVEDIR)
                    } else {
                        _ = calls.remove(to, name.final)
                    }
                }
                throw error
            }
            return nil
        }
    }

    private static func reserve(_ name: Name) throws(SystemError) -> OpenFile.Identity? {
        if name.isFolder {
            try SystemError.check { unsafe mkdirat(name.target.descriptor, name.final, 0o700) }
            return identity(of: name.final, in: name.target)
        }
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
        return try OpenFile(name.final, in: name.target, flags: flags, mode: 0o600).identity()
    }

    private static func remove(_ name: Name, _ calls: FileCalls) -> SystemError? {
        do {
            try SystemError.check { calls.remove(name.directory.descriptor, name.partial) }
            return nil
        } catch {
            return error.code == ENOENT ? nil : error
        }
    }

    private static func identity(of name: String, in directory: OpenFile) -> OpenFile.Identity? {
        OpenFile.status(of: name, in: directory).map(OpenFile.Identity.init)
    }
}
