// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import TransferClient

/// What went wrong with a tree that is received.
enum TreeFault: Error, Hashable {
    /// The system refused something of the entry with this path, which is empty where it is none of them.
    case system(SystemError, String)
    /// The system refused to make the entry with this path.
    case making(SystemError, String)
    /// What was here has gone, or was replaced; where it is now, if that is known.
    case moved(String, now: String?)
    /// Everything is whole, but may not be on the disk.
    case unconfirmed(SystemError)
    /// Everything is whole, but this entry cannot get its name; nothing is said where there are too many of the name.
    case unnamed(SystemError?, String)
    /// The stored manifest is not as it was written.
    case damaged
    /// The manifest that came is not the one that is here.
    case otherManifest
    /// What comes is not what the person was asked about.
    case notOffered(String)
    /// What is wanted does not fit.
    case noRoom(needed: UInt64, UInt64)
    /// Not all of it has come.
    case incomplete
}

extension FileError {
    /// The message for `fault`, of what is called `name` as a whole, and whose parts are in `part`.
    init(_ fault: TreeFault, of name: String, in part: PartFolder) {
        let place = part.folder.path
        switch fault {
        case .system(let failure, let path):
            self = .writing(path.isEmpty ? name : path, in: place, failure)
        case .making(let failure, let path):
            guard part.isThere else {
                self.init(.moved(part.name, now: nil), of: name, in: part)
                return
            }
            self = Self.making(path, in: part, failure)
        case .moved(let path, nil):
            let what = "\(Self.quoted(path)) was moved or replaced while it was being received: receive it again"
            self.init(code: .writeFailed, message: what)
        case .moved(let path, .some(let now)):
            let what = "\(Self.quoted(path)) was moved or replaced while it was being received"
            self.init(code: .writeFailed, message: "\(what); it is whole now, and called \(Self.quoted(now))")
        case .unconfirmed(let failure):
            let what = "\(Self.quoted(name)) arrived whole, but the disk did not confirm that it holds all of it "
            let kept = "(\(failure.phrase)); it is kept in \(Self.quoted(part.path(of: PartFolder.contentName)))"
            let advice = failure.isFull ? "make room" : "look at the disk"
            self.init(
                code: failure.isFull ? .noSpace : .writeFailed,
                message: what + kept + ": \(advice), and receive it again"
            )
        case .unnamed(let failure, let path):
            let kept = "it is kept as \(Self.quoted(part.path(of: PartFolder.contentName + "/" + path)))"
            let why =
                failure.map { failure in
                    "\(Self.quoted(path)) arrived whole, but cannot get its name (\(failure.phrase))"
                }
                ?? "there are too many files called \(Self.quoted(path)) in \(Self.quoted(place)), and what arrived has "
                + "no name of its own"
            self.init(code: .cannotCreate, message: "\(why); \(kept): rename that one")
        case .otherManifest:
            let what = "\(Self.quoted(name)) is not what it was when it was begun: ask the sender to send it again"
            self.init(code: .changed, message: what)
        case .notOffered(let other):
            let what = "what comes with \(Self.quoted(name)), \(Self.quoted(other)), is not what was offered"
            self.init(code: .changed, message: "\(what): ask the sender to send it again")
        case .noRoom(let needed, let free): self = .noRoom(for: name, in: place, needed: needed, free: free)
        case .incomplete:
            self.init(code: .writeFailed, message: "\(Self.quoted(name)) did not come as a whole: receive it again")
        case .damaged:
            let what = "what has come of \(Self.quoted(name)) is damaged"
            self.init(
                code: .writeFailed, message: "\(what): remove \(Self.quoted(part.path())), and receive it again"
            )
        }
    }

    /// The folder at `path` has not enough room.
    static func noRoom(for name: String, in path: String, needed: UInt64, free: UInt64) -> FileError {
        FileError(
            code: .noSpace,
            message: "\"\(DisplayName.escape(name))\" needs \(ByteFormat.string(needed)) and "
                + "\"\(DisplayName.escape(path))\" has \(ByteFormat.string(free)) left: make room, then try again"
        )
    }

    /// The entry with this path could not be made.
    private static func making(_ path: String, in part: PartFolder, _ failure: SystemError) -> FileError {
        let place = part.folder.path
        if failure.isFull { return .writing(path, in: place, failure) }
        if failure.code == EEXIST {
            let what =
                "cannot make \(quoted(path)): the file system of \(quoted(place)) takes its name and another one for "
            let why = "the same, as those that differ only in capitals or in how accents are written"
            return FileError(code: .cannotCreate, message: what + why + ": name another folder with --output")
        }
        let name = String(path.split(separator: "/").last ?? "")
        let folder = part.folder
        guard let refusal = NameRefusal.find(name, after: failure, takes: folder.takes) else {
            return .unusable(folder: place, failure)
        }
        return FileError(code: .cannotCreate, message: refusal.message(path, place: place, failure: failure))
    }

    private static func quoted(_ text: String) -> String { "\"\(DisplayName.path(text))\"" }
}
