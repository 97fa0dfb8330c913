// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Sealing

/// What a transfer's tree is made with.
struct TreeOptions: Sendable {
    /// Whether permissions and links are kept.
    var keepsMetadata: Bool
    let remarks: Remarks
    let calls: FileCalls
}

extension ManifestEntry {
    /// The size of a file, where it is known.
    var size: UInt64? {
        if case .file(let size) = kind { size } else { nil }
    }

    /// When it was modified.
    var time: FileTime { FileTime(seconds: Int(seconds), nanoseconds: Int(nanoseconds)) }
}

/// Says of what is made what stands in the manifest. What a file system refuses of that is a remark.
struct EntryMetadata {
    /// Whether permissions and links are kept.
    let keepsAll: Bool

    private let part: PartFolder
    private let remarks: Remarks
    private let calls: FileCalls

    init(part: PartFolder, options: TreeOptions) {
        self.part = part
        keepsAll = options.keepsMetadata
        remarks = options.remarks
        calls = options.calls
    }

    /// The time of a file or folder, and the permissions of a file. Those of a folder come last, because they can keep
    /// its owner out.
    func set(of file: OpenFile, _ entry: ManifestEntry) {
        if case .file = entry.kind { setMode(of: file, entry) }
        do throws(SystemError) {
            try SystemError.check { calls.setTime(file.descriptor, entry.time) }
        } catch {
            say("the times of modification", .times, error)
        }
    }

    /// The permissions, where they are kept.
    func setMode(of file: OpenFile, _ entry: ManifestEntry) {
        guard keepsAll, let mode = entry.mode else { return }
        do throws(SystemError) {
            try SystemError.check { calls.setMode(file.descriptor, UInt32(mode & 0o777)) }
        } catch {
            say("the permissions", .permissions, error)
        }
    }

    /// The permissions of the file `name`, which takes the place of one that is `found`: those of that one, but that
    /// nothing is made executable. Where permissions are kept, it has the sender's.
    func setMode(of name: String, in folder: OpenFile, like found: stat) {
        guard !keepsAll else { return }
        do throws(SystemError) {
            try SystemError.check {
                unsafe fchmodat(folder.descriptor, name, found.st_mode & 0o666, AT_SYMLINK_NOFOLLOW)
            }
        } catch {
            say("the permissions", .permissions, error)
        }
    }

    /// Whether a file has what ``set(of:_:)`` would give it.
    func isSet(_ entry: ManifestEntry, _ found: stat) -> Bool {
        guard FileTime(modified: found) == entry.time else { return false }
        return !keepsAll || entry.mode.map { mode in mode_t(mode) == found.st_mode & 0o7777 } ?? true
    }

    /// Makes a link as it is; where it leads to is not looked at.
    func makeLink(
        _ entry: ManifestEntry, to target: [UInt8], in folder: OpenFile, mayExist: Bool
    ) throws(SystemError) {
        let name = part.name(of: entry)
        let path = target.map(CChar.init(bitPattern:)) + [0]
        do throws(SystemError) {
            try SystemError.check { unsafe symlinkat(path, folder.descriptor, name) }
        } catch  where error.code == EEXIST && mayExist {
            try SystemError.check { calls.remove(folder.descriptor, name) }
            try SystemError.check { unsafe symlinkat(path, folder.descriptor, name) }
        }
        // Few programs show a link's own time, and not every file system has one.
        _ = entry.time.set(ofLink: name, in: folder.descriptor)
    }

    private func say(_ what: String, _ kind: Remarks.Kind, _ failure: SystemError) {
        remarks.say(
            "what is received into \"\(DisplayName.escape(part.folder.path))\" has \(what) that its file system gives "
                + "it, as others are refused (\(failure.phrase))",
            once: kind
        )
    }
}
