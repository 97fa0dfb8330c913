// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc
import NIOCore
import PrivateFiles
import TransferClient

/// Knows what of a transfer's parts the disk may not have yet, and waits until it has. A few files are confirmed one by
/// one, because others may be writing much to the same disk; more of them, and folders, with all of the file system at
/// once, which costs no more for a thousand files than for one.
struct PartDurability {
    private let part: PartFolder
    private let calls: FileCalls
    private let remarks: Remarks
    /// Whether each file is confirmed by itself, because the file system does not do it for all.
    private let isSingly: Bool
    /// Whether there are no folders in the tree.
    private let isFlat: Bool
    /// Files that have ended since, unless there are too many of them.
    private var ended: [ContentTree.CurrentFile]? = []
    /// Whether there is more than the content of the file under way.
    private var hasNames = true
    private var bytes: UInt64 = 0
    private var last: NIODeadline?

    /// - Parameter manifest: nil while it has not come.
    init(_ part: PartFolder, _ manifest: JournalManifest?, _ options: TreeOptions) {
        self.part = part
        isFlat = manifest.map { manifest in manifest.entries == manifest.files } ?? true
        calls = options.calls
        remarks = options.remarks
        isSingly = CLinux_file_system_type(part.handle.descriptor) == Self.userSpace
    }

    /// FUSE: what stands behind it may not hear of syncfs(2).
    private static let userSpace = 0x6573_5546

    /// The files that have ended and are held open until they are confirmed.
    var held: [ContentTree.CurrentFile] { ended ?? [] }

    /// Content has been written.
    mutating func hasWritten(_ count: UInt64) { bytes = bytes.addingReportingOverflow(count).partialValue }

    /// Something was made.
    mutating func hasMade() { hasNames = true }

    /// A file is whole.
    mutating func hasEnded(_ file: ContentTree.CurrentFile) throws(SystemError) {
        hasNames = true
        if isSingly { try confirm { calls.syncFile(file.file.descriptor) } }
        if let count = ended?.count, count < Defaults.confirmedFiles { ended?.append(file) } else { ended = nil }
    }

    /// Whether it is time for a checkpoint; the first time that this is asked begins the interval.
    mutating func isDue(_ now: NIODeadline) -> Bool {
        guard hasNames || bytes > 0 else { return false }
        guard let last else {
            self.last = now
            return false
        }
        return bytes >= Defaults.checkpointBytes || now - last >= Defaults.checkpointInterval
    }

    /// Waits until the disk has everything, of `current` what was written so far.
    mutating func confirm(_ current: ContentTree.CurrentFile?, now: NIODeadline? = nil) throws(SystemError) {
        if hasNames, isFlat, let ended {
            for file in ended + (current.map { [$0] } ?? []) { try confirm { calls.syncFile(file.file.descriptor) } }
            try confirm { calls.syncFile(part.manifest.descriptor) }
            for folder in [part.content, part.handle, part.folder.handle] {
                try confirm { calls.syncFolder(folder.descriptor) }
            }
        } else if hasNames {
            try confirmAll(current)
        } else if let current {
            try confirm { calls.syncData(current.file.descriptor) }
        }
        settle(now)
    }

    /// Waits until the disk has everything at the end. Where all entries are files, those that have ended since the
    /// last time are confirmed, and not their names, since they get new ones.
    mutating func confirmEnd() throws(SystemError) {
        guard isFlat, let ended else { return try confirm(nil) }
        for file in ended { try confirm { calls.syncFile(file.file.descriptor) } }
        bytes = 0
    }

    /// Waits until the disk has the names in the folder that was received into; what fails then is a remark.
    func confirmNames(isDeep: Bool) {
        do throws(SystemError) {
            if isDeep { try confirm { calls.syncAll(part.folder.handle.descriptor) } }
            try confirm { calls.syncFolder(part.folder.handle.descriptor) }
        } catch {
            // The content is on the disk, and has its names; another attempt would only make others.
            remarks.say(
                "what was received into \"\(DisplayName.path(part.folder.path))\" is stored, but the disk did not confirm "
                    + "its names (\(error.phrase)), which a power cut may take: look at the disk"
            )
        }
    }

    /// Waits until the disk has the names of the journal and of its folder.
    func confirmPart() {
        for folder in [part.handle, part.folder.handle] { try? confirm { calls.syncFolder(folder.descriptor) } }
    }

    private mutating func settle(_ now: NIODeadline?) {
        if let now { last = now }
        bytes = 0
        hasNames = false
        ended = []
    }

    private func confirmAll(_ current: ContentTree.CurrentFile?) throws(SystemError) {
        do throws(SystemError) {
            try SystemError.check { calls.syncAll(part.handle.descriptor) }
        } catch  where error.isUnsupported {
            for file in held + (current.map { [$0] } ?? []) { try confirm { calls.syncFile(file.file.descriptor) } }
            if ended == nil { sayUnconfirmed(error) }
        }
    }

    /// Where a file system cannot tell, that is a remark.
    private func confirm(_ sync: () -> Int32) throws(SystemError) {
        do throws(SystemError) {
            try SystemError.check(sync)
        } catch  where error.isUnsupported {
            sayUnconfirmed(error)
        }
    }

    private func sayUnconfirmed(_ failure: SystemError) {
        remarks.say(
            "the file system of \"\(DisplayName.escape(part.folder.path))\" does not say when files are on the disk "
                + "(\(failure.phrase)): a power cut may take what was just received",
            once: .durability
        )
    }
}
