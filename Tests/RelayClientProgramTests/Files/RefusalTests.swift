// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import PrivateFiles
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import TransferClient

/// Names and folders that are refused: what is said names what is wrong, whatever number the system gives.
struct RefusalTests {
    /// File systems as they are met, each with its own number for the same refusal.
    static let names: [(name: String, number: Int32, takes: @Sendable (String) -> Bool, refusal: NameRefusal?)] = [
        // exFAT and FAT, by the kernel and by FUSE.
        ("a:b", EINVAL, { end in !end.contains(":") }, .character(":")),
        ("a:b", ENOENT, { end in !end.contains(":") }, .character(":")),
        ("what? \"it\".txt", EINVAL, { end in !end.contains { each in "?\"*:<>|\\".contains(each) } }, .character("?")),
        // One that stores names in another coding.
        ("é日.txt", EILSEQ, { end in end.unicodeScalars.allSatisfy { each in each.value < 256 } }, .character("日")),
        ("a 👍.txt", EINVAL, { end in end.unicodeScalars.allSatisfy { each in each.value < 65_536 } }, .character("👍")),
        // NTFS as Windows wants it.
        ("notes.", EINVAL, { end in !end.hasSuffix(".") }, .ending(".")),
        ("notes ", EINVAL, { end in !end.hasSuffix(" ") }, .ending(" ")),
        ("con", EINVAL, { _ in true }, .name),
        (String(repeating: "a", count: 200), ENAMETOOLONG, { _ in true }, .length),
        // It is not the name.
        ("a:b", ENOENT, { _ in false }, nil), ("a:b", EACCES, { _ in false }, nil), ("a", EROFS, { _ in false }, nil),
    ]

    @Test(arguments: names.indices) func whatIsWrongWithANameIsFoundByTrying(_ index: Int) {
        let (name, number, takes, refusal) = Self.names[index]
        let found = NameRefusal.find(SafeFileName(offered: name), after: SystemError(code: number), takes: takes)
        #expect(found == refusal)
    }

    @Test func probingANameEnds() {
        let characters = (UInt32(0xC0)..<0x140).compactMap(Unicode.Scalar.init)
        let name = SafeFileName(offered: String(String.UnicodeScalarView(characters)))
        var tries = 0
        let found = NameRefusal.find(name, after: SystemError(code: EINVAL)) { _ in
            tries += 1
            return true
        }
        #expect(found == .name)
        #expect(tries == Defaults.mostProbedCharacters + 1)
    }

    @Test func theSentenceNamesTheNameTheCharacterAndWhatToDo() {
        let failure = SystemError(code: EINVAL)
        for (refusal, part) in [
            (NameRefusal.character(":"), "\":\""), (.character("\""), "\"\\\"\""), (.ending("."), "ends with \".\""),
            (.length, "3 bytes"), (.name, "invalid argument"),
        ] {
            let sentence = refusal.message("a:b", place: "/mnt/stick", failure: failure)
            for expected in [part, "\"a:b\"", "\"/mnt/stick\"", "; ask for the file under another name"] {
                #expect(sentence.contains(expected))
            }
        }
    }

    @Test func probingAFolderLeavesNoFile() throws {
        let folder = try ReceivedFolder()
        let handle = try folder.directory.folder()
        #expect(handle.takes(nameEndingWith: ":x"))
        #expect(!handle.takes(nameEndingWith: "/x"))
        #expect(try folder.listing().isEmpty)
    }

    /// The one table of numbers.
    static let folders: [(Int32, FileError.Code, String)] = [
        (ENOENT, .cannotCreate, "does not exist: make it first"), (ENOTDIR, .cannotCreate, "is not a folder"),
        (ELOOP, .cannotCreate, "symbolic link"), (ENAMETOOLONG, .cannotCreate, "longer than a path may be"),
        (EACCES, .cannotCreate, "change its permissions"), (EPERM, .cannotCreate, "change its permissions"),
        (EROFS, .cannotCreate, "read-only"), (ENOSPC, .noSpace, "no room"), (EDQUOT, .noSpace, "share"),
        (EMFILE, .cannotCreate, "ulimit -n"), (ENFILE, .cannotCreate, "too many files"), (EIO, .cannotCreate, "fails"),
        (ESTALE, .cannotCreate, "mount it again"), (ENOTCONN, .cannotCreate, "mount it again"),
        (EINVAL, .cannotCreate, "invalid argument"), (ENOMEM, .cannotCreate, "cannot allocate memory"),
    ]

    @Test(arguments: folders) func eachErrnoHasItsOwnMessage(_ number: Int32, _ code: FileError.Code, _ words: String) {
        let error = FileError.unusable(folder: "/in\nbox", SystemError(code: number))
        #expect(error.code == code)
        #expect(error.message.contains(words))
        #expect(error.message.contains("\"/in\\nbox\""))
        #expect(error.message.contains(": "))
        let said = Self.folders.filter { other in error.message.contains(other.2) }.map(\.0)
        #expect(Set(said).isSubset(of: [number, EACCES, EPERM, EMFILE, ENFILE, ESTALE, ENOTCONN]))
    }

    @Test(arguments: [
        (ENOSPC, FileError.Code.noSpace, "full"), (EDQUOT, .noSpace, "share"), (EFBIG, .writeFailed, "ulimit -f"),
        (EIO, .writeFailed, "input/output error"), (ESTALE, .writeFailed, "stale"),
    ]) func eachFailureOfAWriteHasItsOwnMessage(_ number: Int32, _ code: FileError.Code, _ words: String) {
        let error = FileError.writing("f", in: "/inbox", SystemError(code: number))
        #expect(error.code == code)
        #expect(error.message.contains(words))
    }
}
