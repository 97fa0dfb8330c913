// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Sealing
import Synchronization
import TransferClient

/// Standard output as the place of a transfer: its files, one behind the other. What is written there is out before the
/// whole is verified, so a reader has to look at the exit code; nothing can be taken back.
final class StandardOutputTransfer: TransferSink {
    let position = TransferPosition.beginning
    let manifest: ManifestDigest? = nil
    let isAbandonable = true

    private let descriptor: Int32
    private let state = Mutex(State())
    private let received = Atomic<UInt64>(0)

    private struct State {
        var sizes: [UInt64?] = []
        /// The names of the files, where their checksums are wanted.
        var names: [String] = []
        var checksums: ChecksumTaking?
        var digest: ManifestDigest = []
        /// Which file is due, or under way.
        var file = 0
        var written: UInt64 = 0
    }

    private let takesChecksums: Bool

    /// - Parameters:
    ///   - descriptor: another than 1 in tests only, and stays the caller's.
    ///   - takesChecksums: whether those of the files are wanted.
    init(descriptor: Int32 = STDOUT_FILENO, takesChecksums: Bool = false) {
        self.descriptor = descriptor
        self.takesChecksums = takesChecksums
    }

    /// Throws in words where what is offered cannot go to standard output.
    static func check(_ summary: OfferSummary) throws(FileError) {
        guard summary.kind != .folder else { throw refusal(of: summary.names.first ?? "", "a folder") }
    }

    var receivedBytes: UInt64 { received.load(ordering: .relaxed) }
    var hasContent: Bool { receivedBytes > 0 }
    var isRepeatable: Bool { !hasContent }

    func acceptance() -> Acceptance {
        state.withLock { state in state = State(checksums: takesChecksums ? ChecksumTaking() : nil) }
        return Acceptance()
    }

    func take(_ entry: ManifestEntry) throws(FileError) {
        switch entry.kind {
        case .file(let size):
            state.withLock { state in
                state.sizes.append(size)
                if state.checksums != nil { state.names.append(entry.name.text) }
            }
        case .folder: throw Self.refusal(of: entry.name.text, "a folder")
        case .link: throw Self.refusal(of: entry.name.text, "a link")
        }
    }

    func takeManifest(_ digest: ManifestDigest) -> [WantedNote] {
        state.withLock { state in state.digest = digest }
        return []
    }

    func nextFile() -> ExpectedFile? {
        state.withLock { state -> ExpectedFile? in
            guard state.file < state.sizes.count else { return nil }
            state.checksums?.begin(TransferPosition(file: UInt64(state.file), offset: 0))
            return ExpectedFile(size: state.sizes[state.file])
        }
    }

    /// Writes at once, so that a slow stream is seen as it comes.
    func write(_ data: ByteBuffer) throws(FileError) {
        received.add(UInt64(data.readableBytes), ordering: .relaxed)
        try describing { () throws(SystemError) in
            let result = unsafe data.withUnsafeReadableBytes { bytes in
                Result { () throws(SystemError) in try unsafe SystemError.writeAll(bytes, to: descriptor) }
            }
            try result.get()
        }
        state.withLock { state in
            state.written += UInt64(data.readableBytes)
            state.checksums?.update(data, last: data.readableBytes)
        }
    }

    func skip(_ hole: UInt64) throws(FileError) {
        let zeros = ByteBuffer(repeating: 0, count: Int(min(hole, UInt64(SourceSample.blockLength))))
        var rest = hole
        while rest > 0 {
            let part = min(rest, UInt64(zeros.readableBytes))
            try write(zeros.getSlice(at: 0, length: Int(part)) ?? zeros)
            rest -= part
        }
    }

    func endFile() {
        state.withLock { state in
            state.checksums?.end()
            state.file += 1
        }
    }

    func checkpoint(now: NIODeadline, isForced: Bool) {}

    func finish() throws(FileError) -> StoredTransfer {
        try describing { () throws(SystemError) in
            // Only where it is a file on a disk does this mean anything; a pipe or a terminal has nothing to wait for.
            do throws(SystemError) {
                try SystemError.check { fsync(descriptor) }
            } catch  where error.code != EIO && !error.isFull {
                return
            }
        }
        return state.withLock { state in
            let files = UInt64(state.sizes.count)
            let summary = DeliveredSummary(manifest: state.digest, entries: files, bytes: state.written)
            let checksums = zip(state.names, UInt64(0)...).compactMap { name, number in
                state.checksums?.taken[number].map { FileChecksum(path: name, sha256: $0) }
            }
            return StoredTransfer(contents: [.standardOutput], summary: summary, files: files, checksums: checksums)
        }
    }

    func confirmed() {}
    func keep() {}
    func discard() {}

    private func describing(_ body: () throws(SystemError) -> Void) throws(FileError) {
        do throws(SystemError) {
            try body()
        } catch  where error.isFull {
            throw FileError(code: .noSpace, message: "standard output is full: make room, then receive again")
        } catch  where error.code == EPIPE {
            throw FileError(code: .writeFailed, message: "the reader of standard output stopped reading")
        } catch {
            throw FileError(code: .writeFailed, message: "writing to standard output failed: \(error.phrase)")
        }
    }

    private static func refusal(of name: String, _ what: String) -> FileError {
        FileError(
            code: .cannotCreate,
            message: "\"\(DisplayName.escape(name))\" is \(what), which cannot be written to standard output: name a "
                + "folder with --output"
        )
    }
}
