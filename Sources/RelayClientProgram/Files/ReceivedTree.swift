// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import TransferClient

/// A transfer that is received into a folder.
final class ReceivedTree: TransferSink {
    let isAbandonable = false
    let isRepeatable = true

    private let name: String
    private let reception: Mutex<TreeReception?>
    private let received: Atomic<UInt64>

    init(_ reception: TreeReception) {
        name = reception.beginning.summary.shownName
        received = Atomic(reception.bytes)
        self.reception = Mutex(reception)
    }

    var position: TransferPosition { reception.withLock { $0?.position ?? .beginning } }
    var manifest: ManifestDigest? { reception.withLock { $0?.digest } }
    var receivedBytes: UInt64 { received.load(ordering: .relaxed) }
    var hasContent: Bool { receivedBytes > 0 }

    /// From now on the checksums of files are taken.
    func takeChecksums() { reception.withLock { reception in reception?.takeChecksums() } }

    func acceptance() throws(FileError) -> Acceptance {
        try perform { (reception) throws(TreeFault) in try reception.acceptance() }
    }

    func take(_ entry: ManifestEntry) throws(FileError) {
        try perform { (reception) throws(TreeFault) in try reception.take(entry) }
    }

    func takeManifest(_ digest: ManifestDigest) throws(FileError) -> [WantedNote] {
        try perform { (reception) throws(TreeFault) in try reception.takeManifest(digest) }
    }

    func nextFile() throws(FileError) -> ExpectedFile? {
        try perform { (reception) throws(TreeFault) in try reception.nextFile() }
    }

    func write(_ data: ByteBuffer) throws(FileError) {
        try perform { (reception) throws(TreeFault) in try reception.write(data) }
    }

    func skip(_ hole: UInt64) throws(FileError) {
        try perform { (reception) throws(TreeFault) in try reception.skip(hole) }
    }

    func endFile() throws(FileError) {
        try perform { (reception) throws(TreeFault) in try reception.endFile() }
    }

    func checkpoint(now: NIODeadline, isForced: Bool) throws(FileError) {
        try perform { (reception) throws(TreeFault) in try reception.checkpoint(now: now, isForced: isForced) }
    }

    func finish() throws(FileError) -> StoredTransfer {
        try perform { (reception) throws(TreeFault) in try reception.finish() }
    }

    func confirmed() { remove { reception in reception.isStored } }

    func keep() {
        reception.withLock { reception in
            // What is stored, and may have to be confirmed once more, is to be known after a power cut too.
            if var stored = reception.take(), stored.isStored { stored.confirmParts() }
            reception = nil
        }
    }

    /// Removes what has come; what is whole stays where it is.
    func discard() { remove { reception in !reception.isWhole } }

    /// Ends it, and removes its parts if that is right; none of its files is open any more then.
    private func remove(if isRight: (TreeReception) -> Bool) {
        let part = reception.withLock { reception in
            defer { reception = nil }
            return reception.flatMap { reception in isRight(reception) ? reception.part : nil }
        }
        part?.remove()
    }

    private func perform<Value: Sendable>(
        _ body: (inout TreeReception) throws(TreeFault) -> Value
    ) throws(FileError) -> Value {
        try reception.withLock { reception throws(FileError) in
            // Taken out meanwhile, so that nothing of it is copied.
            guard var taken = reception.take() else {
                throw FileError(
                    code: .writeFailed, message: "\"\(DisplayName.escape(name))\" was written to after its end"
                )
            }
            defer {
                received.store(taken.bytes, ordering: .relaxed)
                reception = taken
            }
            do throws(TreeFault) {
                return try body(&taken)
            } catch {
                throw FileError(error, of: name, in: taken.part)
            }
        }
    }
}

extension OfferSummary {
    /// What a transfer is called in a sentence; not escaped.
    var shownName: String {
        guard let first = names.first else { return "nothing" }
        return names.count > 1 ? "\(first) and others" : first
    }
}
