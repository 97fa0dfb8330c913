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
    private let incoming: Mutex<IncomingTree?>
    private let received: Atomic<UInt64>

    init(_ incoming: IncomingTree) {
        name = incoming.beginning.summary.shownName
        received = Atomic(incoming.bytes)
        self.incoming = Mutex(incoming)
    }

    var position: TransferPosition { incoming.withLock { $0?.position ?? .beginning } }
    var manifest: ManifestDigest? { incoming.withLock { $0?.digest } }
    var receivedBytes: UInt64 { received.load(ordering: .relaxed) }
    var hasContent: Bool { receivedBytes > 0 }

    /// From now on the checksums of files are taken.
    func takeChecksums() { incoming.withLock { incoming in incoming?.takeChecksums() } }

    func acceptance() throws(FileError) -> Acceptance {
        try perform { (incoming) throws(TreeFault) in try incoming.acceptance() }
    }

    func take(_ entry: ManifestEntry) throws(FileError) {
        try perform { (incoming) throws(TreeFault) in try incoming.take(entry) }
    }

    func takeManifest(_ digest: ManifestDigest) throws(FileError) -> [WantedNote] {
        try perform { (incoming) throws(TreeFault) in try incoming.takeManifest(digest) }
    }

    func nextFile() throws(FileError) -> ExpectedFile? {
        try perform { (incoming) throws(TreeFault) in try incoming.nextFile() }
    }

    func write(_ data: ByteBuffer) throws(FileError) {
        try perform { (incoming) throws(TreeFault) in try incoming.write(data) }
    }

    func skip(_ hole: UInt64) throws(FileError) {
        try perform { (incoming) throws(TreeFault) in try incoming.skip(hole) }
    }

    func endFile() throws(FileError) {
        try perform { (incoming) throws(TreeFault) in try incoming.endFile() }
    }

    func checkpoint(now: NIODeadline, isForced: Bool) throws(FileError) {
        try perform { (incoming) throws(TreeFault) in try incoming.checkpoint(now: now, isForced: isForced) }
    }

    func finish() throws(FileError) -> StoredTransfer {
        try perform { (incoming) throws(TreeFault) in try incoming.finish() }
    }

    func confirmed() { remove { incoming in incoming.isStored } }

    func keep() {
        incoming.withLock { incoming in
            // What is stored, and may have to be confirmed once more, is to be known after a power cut too.
            if var stored = incoming.take(), stored.isStored { stored.confirmParts() }
            incoming = nil
        }
    }

    /// Removes what has come; what is whole stays where it is.
    func discard() { remove { incoming in !incoming.isWhole } }

    /// Ends it, and removes its parts if that is right; none of its files is open any more then.
    private func remove(if isRight: (IncomingTree) -> Bool) {
        let part = incoming.withLock { incoming in
            defer { incoming = nil }
            return incoming.flatMap { incoming in isRight(incoming) ? incoming.part : nil }
        }
        part?.remove()
    }

    private func perform<Value: Sendable>(
        _ body: (inout IncomingTree) throws(TreeFault) -> Value
    ) throws(FileError) -> Value {
        try incoming.withLock { incoming throws(FileError) in
            // Taken out meanwhile, so that nothing of it is copied.
            guard var taken = incoming.take() else {
                throw FileError(
                    code: .writeFailed, message: "\"\(DisplayName.escape(name))\" was written to after its end"
                )
            }
            defer {
                received.store(taken.bytes, ordering: .relaxed)
                incoming = taken
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
    /// What a transfer is called in a message; not escaped.
    var shownName: String {
        guard let first = names.first else { return "nothing" }
        return names.count > 1 ? "\(first) and others" : first
    }
}
