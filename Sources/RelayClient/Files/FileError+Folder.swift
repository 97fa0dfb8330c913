// SPDX-License-Identifier: Apache-2.0

import Glibc
import TransferClient

/// The sentences for what the system says about a folder that files are received into: the one place where its numbers
/// become words. Each names what is really wrong; what has no sentence of its own gets the system's words.
extension FileError {
    /// The folder at `path` cannot be opened, or no file can be made in it.
    static func unusable(folder path: String, _ failure: SystemFailure) -> FileError {
        let shown = "\"\(DisplayName.escape(path))\""
        let sentence =
            switch failure.number {
            case ENOENT: "the folder \(shown) does not exist: make it first, or name another with --output"
            case ENOTDIR: "\(shown) is not a folder: name one with --output"
            case ELOOP:
                "\(shown) leads through a symbolic link that is not followed: name the folder itself with --output"
            case ENAMETOOLONG: "\(shown) is longer than a path may be: name a shorter one with --output"
            case EACCES, EPERM:
                "no files may be made in \(shown) (\(failure)): change its permissions, or name another with --output"
            case EROFS: "the file system of \(shown) is read-only: name another folder with --output"
            case ENOSPC: "\(shown) has no room for another file: make room, then try again"
            case EDQUOT: "your share of the disk of \(shown) is used up: make room, then try again"
            case EMFILE, ENFILE: "too many files are open to make one in \(shown): raise ulimit -n, then try again"
            case EIO: "the disk of \(shown) fails (\(failure)): look at it, or name another folder with --output"
            case ESTALE, ENODEV, ENXIO, ENOTCONN, EHOSTDOWN, ETIMEDOUT:
                "the file system of \(shown) is gone (\(failure)): mount it again, or name another folder with --output"
            default: "cannot make files in \(shown) (\(failure)): name another folder with --output"
            }
        return FileError(code: failure.isFull ? .noSpace : .cannotCreate, message: sentence)
    }

    /// Writing the content of the file `name` in the folder at `path` failed; nothing of it is kept.
    static func writing(_ name: String, in path: String, _ failure: SystemFailure) -> FileError {
        let (shown, place) = ("\"\(DisplayName.escape(name))\"", "\"\(DisplayName.escape(path))\"")
        let sentence =
            switch failure.number {
            case ENOSPC: "the disk of \(place) is full, \(shown) does not fit: make room, then try again"
            case EDQUOT: "your share of the disk of \(place) is full, \(shown) does not fit: make room, then try again"
            case EFBIG:
                "\(shown) is larger than a file in \(place) may be: raise ulimit -f, or name another folder with --output"
            case EIO: "writing \(shown) in \(place) failed (\(failure)): look at the disk"
            default: "writing \(shown) in \(place) failed: \(failure)"
            }
        return FileError(code: failure.isFull ? .noSpace : .writeFailed, message: sentence)
    }
}
