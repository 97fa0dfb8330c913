// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import TransferClient

/// Why a file system refuses a name that others take, found out by trying: no list of what exFAT, FAT, NTFS or a share
/// of Windows refuse is ever complete, and each says so with another number.
enum NameRefusal: Hashable, Sendable {
    /// It takes none with this character in it.
    case character(Unicode.Scalar)
    /// It takes none that ends so.
    case ending(Unicode.Scalar)
    /// It takes none as long as this one.
    case length
    /// It takes files, but none of this name.
    case name

    /// What is wrong with `name`, of which `failure` was said; nil when the folder takes no file of any name now.
    /// `takes` says whether a file can be made whose name ends with what it is given.
    static func find(_ name: String, after failure: SystemError, takes: (String) -> Bool) -> NameRefusal? {
        guard takes("") else { return nil }
        if failure.code == ENAMETOOLONG { return .length }
        if let ending = refusedEnding(name, takes: takes) { return .ending(ending) }
        var tried: Set<Unicode.Scalar> = []
        for scalar in name.unicodeScalars where !isHarmless(scalar) && tried.insert(scalar).inserted {
            guard tried.count <= Defaults.mostProbedCharacters else { break }
            if !takes("\(scalar)x") { return .character(scalar) }
        }
        return .name
    }

    /// The end of `name`, if the file system refuses it. The name of the part file has another end.
    static func refusedEnding(_ name: String, takes: (String) -> Bool) -> Unicode.Scalar? {
        guard let last = name.unicodeScalars.last, last == "." || last == " " else { return nil }
        return takes("x\(last)") ? nil : last
    }

    /// The message for the person: which name, what is wrong with it, what to do.
    func message(_ name: String, place: String, failure: SystemError) -> String {
        let place = DisplayName.escape(place)
        let why =
            switch self {
            case .character(let scalar): "takes no name with \"\(DisplayName.escape(String(scalar)))\" in it"
            case .ending(let scalar): "takes no name that ends with \"\(DisplayName.escape(String(scalar)))\""
            case .length: "takes no name of \(name.utf8.count) bytes"
            case .name: "takes files, but not under this name (\(failure.phrase))"
            }
        return "cannot make \"\(DisplayName.escape(name))\": the file system of \"\(place)\" \(why); "
            + "ask for the file under another name, or name another folder with --output"
    }

    /// No file system refuses these.
    private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
    }
}

/// The messages for what the system says about a folder that files are received into: the one place where its numbers
/// become words. Each names what is really wrong; what has no message of its own gets the system's words.
extension FileError {
    /// The folder at `path` cannot be opened, or no file can be made in it.
    static func unusable(folder path: String, _ failure: SystemError) -> FileError {
        let shown = "\"\(DisplayName.escape(path))\""
        let message =
            switch failure.code {
            case ENOENT: "the folder \(shown) does not exist: make it first, or name another with --output"
            case ENOTDIR: "\(shown) is not a folder: name one with --output"
            case ELOOP:
                "\(shown) leads through a symbolic link that is not followed: name the folder itself with --output"
            case ENAMETOOLONG: "\(shown) is longer than a path may be: name a shorter one with --output"
            case EACCES, EPERM:
                "no files may be made in \(shown) (\(failure.phrase)): change its permissions, "
                    + "or name another with --output"
            case EROFS: "the file system of \(shown) is read-only: name another folder with --output"
            case ENOSPC: "\(shown) has no room for another file: make room, then try again"
            case EDQUOT: "your share of the disk of \(shown) is used up: make room, then try again"
            case EMFILE, ENFILE: "too many files are open to make one in \(shown): raise ulimit -n, then try again"
            case EIO: "the disk of \(shown) fails (\(failure.phrase)): look at it, or name another folder with --output"
            case ESTALE, ENODEV, ENXIO, ENOTCONN, EHOSTDOWN, ETIMEDOUT:
                "the file system of \(shown) is gone (\(failure.phrase)): mount it again, "
                    + "or name another folder with --output"
            default: "cannot make files in \(shown) (\(failure.phrase)): name another folder with --output"
            }
        return FileError(code: failure.isFull ? .noSpace : .cannotCreate, message: message)
    }

    /// Writing the content of the file `name` in the folder at `path` failed; nothing of it is kept.
    static func writing(_ name: String, in path: String, _ failure: SystemError) -> FileError {
        let (shown, place) = ("\"\(DisplayName.escape(name))\"", "\"\(DisplayName.escape(path))\"")
        let message =
            switch failure.code {
            case ENOSPC: "the disk of \(place) is full, \(shown) does not fit: make room, then try again"
            case EDQUOT: "your share of the disk of \(place) is full, \(shown) does not fit: make room, then try again"
            case EFBIG:
                "\(shown) is larger than a file in \(place) may be: raise ulimit -f, or name another folder with --output"
            case EIO: "writing \(shown) in \(place) failed (\(failure.phrase)): look at the disk"
            default: "writing \(shown) in \(place) failed: \(failure.phrase)"
            }
        return FileError(code: failure.isFull ? .noSpace : .writeFailed, message: message)
    }
}
