// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Sealing
import TransferClient

/// Why something cannot be sent, or not any more. Paths are as they are, not escaped.
enum SourceFault: Error, Hashable, Sendable {
    // MARK: Before anyone is asked

    case unreadable(String, SystemError)
    /// Something in a folder that the person named.
    case unreadableEntry(String, SystemError)
    /// The person named something that is no file and no folder.
    case special(String)
    /// The path is that of a root, which has no name.
    case root(String)
    case name(String, NameFault)
    /// Two of what the person named have this name.
    case sameName(String)
    /// Two of what the person shares have this name.
    case sameShared(String)
    /// A folder within too many others.
    case tooDeep(String)
    /// More entries, or bytes, than can be counted.
    case tooMuch
    /// The list of files cannot be made of what was found.
    case list(SealingError)
    /// Nothing is left.
    case allExcluded

    // MARK: Later

    /// It is not what it was when it was looked at.
    case changed(String)
    case grew(String)
    case shrank(String)
    case writtenTo(String)
    case cannotOpen(String, SystemError)
    case cannotReadOn(String, SystemError)
    /// The receiver has other content of it.
    case differs(String)
    case closed(String)
    case standardInput(SystemError)
    case standardInputGone
    case position
    case unusableKey

    /// A path that could be opened before cannot be opened now.
    static func absent(_ path: String, _ failure: SystemError) -> SourceFault {
        isChange(failure) ? .changed(path) : .cannotOpen(path, failure)
    }

    /// Whether `failure`, of a file that could be opened before, means that its path names another one or none, and not
    /// that the system or the disk cannot open it now.
    static func isChange(_ failure: SystemError) -> Bool {
        switch failure.code {
        case ENOENT, ENOTDIR, EISDIR, ELOOP, ENXIO: true
        default: false
        }
    }

    /// What the receiver is told in the stream, where it is told.
    var reason: UnreadableReason {
        switch self {
        case .grew: .grew
        case .shrank: .shrank
        case .changed, .writtenTo, .differs: .changed
        case .unreadable, .unreadableEntry, .special, .root, .name, .sameName, .sameShared, .tooDeep, .tooMuch, .list,
            .allExcluded, .cannotOpen,
            .cannotReadOn, .closed, .standardInput, .standardInputGone, .position, .unusableKey:
            .cannotRead
        }
    }

    /// The fault as an error of the client, with its message.
    var error: FileError {
        advice.map { FileError(code: code, message, $0) } ?? FileError(code: code, message: message)
    }

    private var code: FileError.Code {
        switch self {
        case .unreadable, .unreadableEntry, .special, .root, .name, .sameName, .sameShared, .tooDeep, .tooMuch, .list,
            .allExcluded:
            .cannotRead
        case .changed, .grew, .shrank, .writtenTo, .differs: .changed
        case .cannotOpen, .cannotReadOn, .closed, .standardInput, .standardInputGone, .position: .readFailed
        case .unusableKey: .unusableProfile
        }
    }

    private var message: String {
        switch self {
        case .unreadable(let path, let failure):
            // Where a byte that is no UTF-8 stood, a replacement stands, and that is another name.
            failure.code == ENOENT && path.unicodeScalars.contains("\u{fffd}")
                ? "cannot read \(shown(path)): its name is not UTF-8: rename it, or send its content through standard input"
                : "cannot read \(shown(path)): \(failure.phrase)"
        case .unreadableEntry(let path, let failure):
            "cannot read \(shown(path)): \(failure.phrase): make it readable, or leave it out with --exclude"
        case .special(let path):
            "\(shown(path)) is not a regular file: send its content through standard input "
                + "(relay-client send NAME - < FILE)"
        case .root(let path):
            "\(shown(path)) is the root of all folders, which has no name to be sent under: name the folders in it"
        case .name(let path, let fault):
            "\(shown(path)) cannot be sent under its name: \(fault): rename it, or leave it out with --exclude"
        case .sameName(let name):
            "two of the files and folders to send are called \(shown(name)), and the receiver cannot have both: "
                + "rename one, or send them one after the other"
        case .sameShared(let name):
            "two of the files and folders to share are called \(shown(name)), and others could not tell them apart: "
                + "rename one, or share the folder that it is in"
        case .tooDeep(let path):
            "\(shown(path)) is in more than \(SealingDefaults.folderDepth) folders within one another, which is the most "
                + "that can be sent: send a part of them, or leave it out with --exclude"
        case .tooMuch: "these are more files, or more bytes, than one transfer can carry: send them in parts"
        case .list(let error): "what was found cannot be sent in one transfer: \(error)"
        case .allExcluded: "there is nothing to send: --exclude leaves out everything that was named"
        case .changed(let path):
            "\(shown(path)) was changed, moved or removed before all of it was sent"
        case .grew(let path): "\(shown(path)) grew while it was being sent"
        case .shrank(let path): "\(shown(path)) became shorter while it was being sent"
        case .writtenTo(let path): "\(shown(path)) was written to while it was being sent"
        case .cannotOpen(let path, let failure): "\(shown(path)) cannot be opened any more: \(failure.phrase)"
        case .cannotReadOn(let path, let failure): "reading \(shown(path)) failed: \(failure.phrase)"
        case .differs(let path):
            "\(shown(path)) is not what the receiver has a part of, as it was changed since the transfer began"
        case .closed(let path): "reading \(shown(path)) went on after it was closed"
        case .standardInput(let failure): "reading standard input failed: \(failure.phrase)"
        case .standardInputGone: "standard input cannot be read a second time: run the command again"
        case .position: "the receiver wants to go on behind the end of what is sent"
        case .unusableKey: "the key of this profile cannot sign"
        }
    }

    /// What to do about it, where that does not stand with what has happened.
    private var advice: String? {
        switch self {
        case .changed, .grew, .shrank, .writtenTo, .differs: "send it again once nothing writes to it, or send a copy"
        case .unreadable, .unreadableEntry, .special, .root, .name, .sameName, .sameShared, .tooDeep, .tooMuch, .list,
            .allExcluded,
            .cannotOpen, .cannotReadOn, .closed, .standardInput, .standardInputGone, .position, .unusableKey:
            nil
        }
    }

    private func shown(_ path: String) -> String { "\"\(DisplayName.path(path))\"" }
}
