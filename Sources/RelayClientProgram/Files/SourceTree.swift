// SPDX-License-Identifier: Apache-2.0

import Crypto
import Glibc
import NIOCore
import PrivateFiles
import Sealing
import Synchronization
import TransferClient
import WSProtocol

/// What is sent: files and folders as they were when they were looked at, or standard input. Nothing of it is open but
/// what a reader just reads, so that any number of them can wait for their turn. The calls block for as long as the
/// disk takes.
final class SourceTree: Sendable {
    let summary: OfferSummary
    /// What it is called in a message.
    let name: String
    /// The digest of the manifest.
    let digest: ManifestDigest
    /// Tells whether a later process has found the same: 32 bytes, of all that tells whether a file was changed, and of
    /// the options. Random where nothing can be found again.
    let state: [UInt8]
    /// What the person named, so that it can be found from another working directory as well.
    let paths: [String]

    let catalogue: SourceCatalogue
    /// What is read instead of files.
    let pipe: SourcePipe?
    private let closed = Atomic(false)
    /// How long the files are whose size only reading them told, by their number.
    private let lengths = Mutex<[UInt64: UInt64]>([:])
    /// The SHA-256 of files that were read, by their number, where they were asked for.
    private let digests = Mutex<[UInt64: String]>([:])

    private init(_ catalogue: SourceCatalogue, paths: [String], state: [UInt8], pipe: SourcePipe?) {
        self.catalogue = catalogue
        self.paths = paths
        self.state = state
        self.pipe = pipe
        summary = catalogue.summary
        name = catalogue.shownName
        digest = catalogue.manifest.digest
    }

    /// Looks at everything at and below `paths`, following links in these but not below them. Throws, with a message
    /// that names it, what the receiver would refuse or this user cannot read; tells `remark`, in a message each, what
    /// is left out because it is neither file nor folder.
    static func scan(
        _ paths: [String], _ options: SourceOptions, remark: @escaping @Sendable (String) -> Void
    ) throws(FileError) -> SourceTree {
        do throws(SourceFault) {
            return try scan(SourceScan.tops(paths), paths: paths.map(absolute), options, remark: remark)
        } catch {
            throw error.error
        }
    }

    /// Looks at everything at and below these, as above.
    ///
    /// - Parameter paths: what a later process finds them by.
    static func scan(
        _ tops: [SourceTop], paths: [String] = [], _ options: SourceOptions,
        remark: @escaping @Sendable (String) -> Void
    ) throws(SourceFault) -> SourceTree {
        var scan = SourceScan(options, remark: remark)
        let state = try scan.run(tops)
        return SourceTree(scan.catalogue, paths: paths, state: state, pipe: nil)
    }

    /// Looks once more at everything, where it was found: no further than that way led at first.
    func scanned(
        _ options: SourceOptions, remark: @escaping @Sendable (String) -> Void
    ) throws(FileError) -> SourceTree {
        do throws(SourceFault) {
            return try Self.scan(catalogue.tops, paths: paths, options, remark: remark)
        } catch {
            throw error.error
        }
    }

    /// - Parameters:
    ///   - name: what the receiver sees.
    ///   - descriptor: another than 0 in tests only; stays the caller's.
    static func standardInput(name: String, descriptor: Int32 = STDIN_FILENO) throws(FileError) -> SourceTree {
        try standardInput(name: name, pipe: SourcePipe(descriptor: descriptor))
    }

    /// One file, of what can be read once.
    static func stream(of content: any ReadOnce, name: String) throws(FileError) -> SourceTree {
        try standardInput(name: name, pipe: SourcePipe(content))
    }

    /// - Parameters:
    ///   - name: what the receiver sees.
    ///   - pipe: what is read.
    static func standardInput(name: String, pipe: SourcePipe) throws(FileError) -> SourceTree {
        var catalogue = SourceCatalogue()
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        do {
            let name = try EntryName(Array(name.utf8))
            let nanoseconds = UInt32(clamping: now.tv_nsec)
            try catalogue.manifest.append(
                ManifestEntry(.file(size: nil), name: name, seconds: Int64(now.tv_sec), nanoseconds: nanoseconds)
            )
            catalogue.tops.append(SourceTop(path: PathName("-"), name: name))
        } catch let fault as NameFault {
            throw SourceFault.name(name, fault).error
        } catch let error as SealingError {
            throw SourceFault.list(error).error
        } catch {
            throw SourceFault.standardInputGone.error
        }
        var generator = SystemRandomNumberGenerator()
        let state = (0..<SHA256.byteCount).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return SourceTree(catalogue, paths: [], state: state, pipe: pipe)
    }

    /// How many bytes there will be, where that is known.
    var size: UInt64? { summary.bytes }

    /// Whether another attempt can succeed: what comes from a pipe is gone once it was read, and only a receiver that
    /// has all of it can still be told so.
    var isRepeatable: Bool { pipe.map { !$0.hasBegun || $0.hasEnded } ?? true }

    /// Whether reading may take for ever.
    var readsPipe: Bool { pipe?.mayWait ?? false }

    /// Nothing more will be read: a reader throws at the next file.
    func close() {
        closed.store(true, ordering: .releasing)
        pipe?.close()
    }

    var isClosed: Bool { closed.load(ordering: .acquiring) }

    // MARK: - Whether it is still the same

    /// Throws, naming the first that is not, unless every file and link is what it was, and each folder is where it
    /// was. What has come into a folder since is not part of what is sent.
    func recheck() throws(FileError) {
        do throws(SourceFault) {
            guard pipe == nil else {
                if isRepeatable { return }
                throw .standardInputGone
            }
            var walk = SourceWalk(through: catalogue)
            while walk.next() != nil { try walk.check() }
        } catch {
            throw error.error
        }
    }

    /// Throws unless each of the blocks that the receiver has is what there is now.
    func check(_ samples: [SourceSample]) throws(FileError) {
        var samples = samples.sorted { ($0.file, $0.block) < ($1.file, $1.block) }[...]
        var walk = SourceWalk(through: catalogue)
        var number: UInt64 = 0
        do throws(SourceFault) {
            if pipe != nil, !samples.isEmpty { throw .differs(name) }
            while !samples.isEmpty, let (_, size) = walk.nextFile() {
                var open: OpenFile?
                while let sample = samples.first, sample.file == number {
                    samples.removeFirst()
                    let file = if let open { open } else { try walk.open() }
                    open = file
                    try Self.check(sample, of: file, size, walk.shownPath)
                }
                number += 1
            }
            // Of no file that there is.
            if !samples.isEmpty { throw .differs(name) }
        } catch {
            throw error.error
        }
    }

    private static func check(
        _ sample: SourceSample, of open: OpenFile, _ size: UInt64?, _ path: String
    ) throws(SourceFault) {
        let length = SourceSample.blockLength
        let (offset, overflow) = sample.block.multipliedReportingOverflow(by: UInt64(length))
        guard !overflow, Int64(exactly: offset) != nil else { throw .differs(path) }
        do {
            var file = try SourceFile(open, size: size, offset: offset, looksForHoles: false)
            var block = ByteBuffer()
            while block.readableBytes < length {
                guard try file.read(length - block.readableBytes, into: &block) > 0 else { break }
            }
            // Behind the end there is nothing that could be the same.
            guard block.readableBytes > 0 else { throw SourceFault.differs(path) }
            try sample.check(Array(block.readableBytesView))
        } catch let failure as SystemError {
            throw .cannotReadOn(path, failure)
        } catch {
            throw .differs(path)
        }
    }

    // MARK: - Streams

    /// Whether a receiver may go on from there.
    func covers(_ position: TransferPosition) -> Bool {
        guard position.file < catalogue.manifest.files else {
            return position.file == catalogue.manifest.files && position.offset == 0
        }
        guard position.offset > 0 else { return true }
        var number: UInt64 = 0
        for size in catalogue.sizes {
            if number == position.file { return size.map { position.offset <= $0 } ?? (pipe == nil) }
            number += 1
        }
        return false
    }

    /// The bytes of plaintext of the stream from there; nil where that is not known before it is read: when a size is
    /// not, when files have holes, or when notes say what is wanted.
    func streamLength(from position: TransferPosition, wantsByNote: Bool) -> UInt64? {
        guard !wantsByNote, !catalogue.hasHoles else { return nil }
        var length: UInt64
        switch StreamForm(at: position) {
        case .manifest: length = catalogue.manifest.streamLength
        case .digest: length = WrittenManifest.digestFormLength
        }
        length += StreamEncoder.endLength
        var number: UInt64 = 0
        for size in catalogue.sizes {
            defer { number += 1 }
            guard number >= position.file else { continue }
            guard let size else { return nil }
            let left = size - min(size, number == position.file ? position.offset : 0)
            guard let content = StreamEncoder.contentLength(of: left) else { return nil }
            let (sum, overflow) = length.addingReportingOverflow(content)
            guard !overflow else { return nil }
            length = sum
        }
        return length
    }

    /// The stream of one attempt.
    ///
    /// - Parameters:
    ///   - position: one that ``covers(_:)`` says is one.
    ///   - identity: who signs the manifest.
    ///   - takesChecksums: whether ``checksums()`` are wanted.
    func reader(
        for transfer: CarriedTransfer, from position: TransferPosition, wantsByNote: Bool,
        signedBy identity: Curve25519.Signing.PrivateKey, takesChecksums: Bool = false
    ) throws(FileError) -> SourceReader {
        guard pipe?.hasBegun != true || position.file > 0 else { throw SourceFault.standardInputGone.error }
        guard !isClosed else { throw SourceFault.closed(name).error }
        guard covers(position) else { throw SourceFault.position.error }
        var start = ByteBuffer()
        var end: ByteBuffer?
        switch StreamForm(at: position) {
        case .manifest:
            StreamEncoder.writeManifestForm(into: &start)
            var signed = ByteBuffer()
            do throws(SealingError) {
                try catalogue.manifest.writeEnd(of: transfer, signedBy: identity, into: &signed)
            } catch {
                throw SourceFault.unusableKey.error
            }
            end = signed
        case .digest: StreamEncoder.writeDigest(digest, into: &start)
        }
        return SourceReader(
            of: self, at: position, start: start, manifestEnd: end, wantsByNote: wantsByNote,
            takesChecksums: takesChecksums
        )
    }

    // MARK: - Checksums

    /// A file was read from its beginning to its end.
    func remember(sha256: String, of file: UInt64) { digests.withLock { $0[file] = sha256 } }

    /// Reads those of the wanted files that no stream of this process has read as a whole, unless they have changed.
    /// Blocks.
    ///
    /// - Parameter runs: nil when all files are wanted.
    func completeChecksums(wanted runs: [WantedRun]?) {
        var wanted = WantedFiles(runs)
        var walk = SourceWalk(through: catalogue)
        var number: UInt64 = 0
        while pipe == nil, !isClosed, let (_, size) = walk.nextFile() {
            defer { number += 1 }
            guard wanted.next(), digests.withLock({ $0[number] }) == nil, let file = try? walk.open(),
                let sha256 = try? FileChecksum.sha256(of: file), let status = try? file.status(),
                walk.change(status, size: size) == nil
            else { continue }
            remember(sha256: sha256, of: number)
        }
    }

    /// The checksums of all files of which they are known, in the order of the manifest.
    func checksums() -> [FileChecksum] {
        let digests = digests.withLock { $0 }
        var checksums: [FileChecksum] = []
        var folders: [(number: UInt32, path: String)] = []
        var cursor = WrittenManifest.Cursor()
        var file: UInt64 = 0
        while !digests.isEmpty, let entry = catalogue.manifest.next(&cursor) {
            while let last = folders.last, last.number != entry.parent { folders.removeLast() }
            let path = (folders.last.map { "\($0.path)/" } ?? "") + String(decoding: entry.name, as: UTF8.self)
            switch entry.kind {
            case .folder: folders.append((entry.number, path))
            case .file:
                if let sha256 = digests[file] { checksums.append(FileChecksum(path: path, sha256: sha256)) }
                file += 1
            case .link: break
            }
        }
        return checksums
    }

    /// What a receiver has that has everything it wants.
    ///
    /// - Parameter runs: nil when that is everything.
    func delivered(wanted runs: [WantedRun]?) -> DeliveredCounts {
        var wanted = WantedFiles(runs)
        var counts = DeliveredCounts(entries: catalogue.manifest.entries, bytes: 0)
        var number: UInt64 = 0
        for size in catalogue.sizes {
            if wanted.next() {
                let length = size ?? lengths.withLock { $0[number] }
                counts.bytes = counts.bytes.flatMap { sum in length.map { sum + $0 } }
            } else {
                counts.entries -= 1
            }
            number += 1
        }
        return counts
    }

    /// A file whose size was not known has been read to its end.
    func remember(length: UInt64, of file: UInt64) { lengths.withLock { $0[file] = length } }

    /// The bytes of content that a receiver has at a position.
    func bytes(before position: TransferPosition) -> UInt64 {
        var bytes = position.offset
        for size in catalogue.sizes.prefix(Int(clamping: position.file)) { bytes += size ?? 0 }
        return bytes
    }

    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let folder = unsafe getcwd(nil, 0) else { return path }
        defer { unsafe free(folder) }
        return unsafe String(cString: folder) + "/" + path
    }
}

/// How much a receiver has when it has everything.
struct DeliveredCounts: Hashable, Sendable {
    /// Of the manifest, but for files that are not wanted.
    var entries: UInt64
    /// Nil when a file of unknown size was read by another process.
    var bytes: UInt64?

    /// Whether that is what the receiver says.
    func agree(with summary: DeliveredSummary) -> Bool {
        entries == summary.entries && (bytes ?? summary.bytes) == summary.bytes
    }
}
