// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles

/// Gives a finished file its final name without ever replacing anything.
enum NewName {
    /// How the name is given. What one file system refuses, with whatever number, another way may do: each is tried, in
    /// this order.
    enum Method: CaseIterable, Sendable {
        /// One atomic `renameat2` that fails where the name is taken.
        case rename
        /// A second hard link, which fails where the name is taken, and then the first is removed.
        case link
        /// An empty file of the name, which is made only where there is none, and then replaced. Who looks in between
        /// sees that one.
        case reserve
    }

    /// What came of it.
    enum Outcome: Hashable, Sendable {
        /// Something of that name exists, be it a file, a folder or a link to nowhere; nothing has changed.
        case taken
        /// The file has the name. With `leftover` it has its old name, too, which could not be removed.
        case given(leftover: SystemError? = nil)
    }

    /// Gives the file called `partial` in `directory` the name `final`. Throws what the last of `methods` said, and
    /// then the file still has its old name.
    static func give(
        _ final: String, to partial: String, in directory: OpenFile, by methods: [Method] = Method.allCases,
        calls: FileCalls = .system
    ) throws(SystemError) -> Outcome {
        guard let status = OpenFile.status(of: partial, in: directory) else { throw SystemError.last }
        let identity = OpenFile.Identity(status)
        var failure = SystemError(code: EINVAL)
        for method in methods {
            do {
                return .given(leftover: try give(final, to: partial, in: directory, method, calls))
            } catch {
                // On a network's file system the call may have been done, and its answer lost.
                if self.identity(of: final, in: directory) == identity {
                    return .given(leftover: remove(partial, in: directory, calls))
                }
                if error.code == EEXIST { return .taken }
                failure = error
            }
        }
        throw failure
    }

    /// One way; returns why the old name is still there, if it is.
    private static func give(
        _ final: String, to partial: String, in directory: OpenFile, _ method: Method, _ calls: FileCalls
    ) throws(SystemError) -> SystemError? {
        switch method {
        case .rename:
            try SystemError.check { calls.rename(directory.descriptor, partial, final) }
            return nil
        case .link:
            try SystemError.check { calls.link(directory.descriptor, partial, final) }
            // The content is there under its final name; a second name left behind is no reason to fail.
            return remove(partial, in: directory, calls)
        case .reserve:
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
            let reserved = try OpenFile(final, in: directory, flags: flags, mode: 0o600)
            do {
                try SystemError.check { calls.replace(directory.descriptor, partial, final) }
            } catch {
                if identity(of: final, in: directory) == (try? reserved.identity()) {
                    _ = calls.remove(directory.descriptor, final)
                }
                throw error
            }
            return nil
        }
    }

    private static func remove(_ partial: String, in directory: OpenFile, _ calls: FileCalls) -> SystemError? {
        do {
            try SystemError.check { calls.remove(directory.descriptor, partial) }
            return nil
        } catch {
            return error.code == ENOENT ? nil : error
        }
    }

    private static func identity(of name: String, in directory: OpenFile) -> OpenFile.Identity? {
        OpenFile.status(of: name, in: directory).map(OpenFile.Identity.init)
    }
}
