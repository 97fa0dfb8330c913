// SPDX-License-Identifier: Apache-2.0

import NIOCore
import PrivateFiles
import Sealing
import Synchronization
import TransferClient

/// Produces the plaintext of one stream. One caller at a time; a call may block for as long as the disk takes, or, of a
/// pipe, until there is something in it: meanwhile nothing but ``contentBytes`` answers. What a call throws, later ones
/// throw again.
final class SourceReader: Sendable {
    /// What a call ended with.
    enum Step: Hashable, Sendable {
        /// The room is used up.
        case more
        /// There is nothing more for now: what there is should be sent.
        case flush
        /// The manifest is out, and ``want(_:isLast:)`` has to say what comes next.
        case waitsForNotes
        /// The stream is whole.
        case end
    }

    private let state: Mutex<State>
    private let progress: Atomic<UInt64>

    /// - Parameters:
    ///   - start: what the stream begins with, before the manifest's records.
    ///   - manifestEnd: what follows them; nil when the manifest is not sent.
    init(
        of source: SourceTree, at position: TransferPosition, start: ByteBuffer, manifestEnd: ByteBuffer?,
        wantsByNote: Bool, takesChecksums: Bool
    ) {
        let done = source.bytes(before: position)
        progress = Atomic(done)
        state = Mutex(
            State(
                source: source, position: position, start: start, manifestEnd: manifestEnd, wantsByNote: wantsByNote,
                takesChecksums: takesChecksums, done: done
            )
        )
    }

    /// The bytes of content behind which the stream is, those included that the receiver had or does not want.
    var contentBytes: UInt64 { progress.load(ordering: .relaxed) }

    /// Writes at most `room` bytes behind what is in `buffer`, straight from the files.
    func read(into buffer: inout ByteBuffer, room: Int) throws(FileError) -> Step {
        try call { state throws(SourceFault) in
            defer { progress.store(state.done, ordering: .relaxed) }
            return try state.read(into: &buffer, room: room)
        }
    }

    /// Takes what the receiver wants, after those runs that were given before.
    func want(_ runs: [WantedRun], isLast: Bool) throws(FileError) {
        try call { state throws(SourceFault) in state.want(runs, isLast: isLast) }
    }

    /// After ``read(into:room:)`` has thrown: writes behind what it has written why the stream ends, for the receiver.
    ///
    /// - Returns: whether it could; in the middle of a record of content, the stream can only be cut.
    func writeReason(into buffer: inout ByteBuffer) -> Bool {
        state.withLock { state in state.writeReason(into: &buffer) }
    }

    /// What a receiver has that has everything it wants of this stream.
    var delivered: DeliveredCounts { state.withLock { state in state.delivered } }

    /// Reads what is missing of the checksums of what is wanted, where they are asked for. Blocks.
    func completeChecksums() {
        let source: (tree: SourceTree, wanted: [WantedRun]?)? = state.withLock { $0.wantsChecksums }
        source?.tree.completeChecksums(wanted: source?.wanted)
    }

    private func call<Value: Sendable>(
        _ body: (inout sending State) throws(SourceFault) -> Value
    ) throws(FileError) -> Value {
        do throws(SourceFault) {
            return try state.withLock { state throws(SourceFault) in
                if let fault = state.fault { throw fault }
                do throws(SourceFault) { return try body(&state) } catch {
                    state.fault = error
                    throw error
                }
            }
        } catch {
            throw error.error
        }
    }
}

/// Where the stream is.
private struct State {
    private enum Phase {
        /// - piece: of the manifest; what is before it is out.
        case manifest(piece: Int, offset: Int)
        case notes
        case betweenFiles
        /// Between two records of a file.
        case file(SourceFile)
        /// Within a record of content, of which so many bytes are to come.
        case data(SourceFile, left: UInt64)
        case pipe(length: UInt64)
        case ended
    }

    /// What was thrown.
    var fault: SourceFault?
    /// What is reported as progress.
    private(set) var done: UInt64

    private let source: SourceTree
    private let position: TransferPosition
    private let manifestEnd: ByteBuffer?
    private let wantsByNote: Bool
    private var phase: Phase
    /// What is to be written before anything else, for which there was no room.
    private var pending: ByteBuffer
    private var walk: SourceWalk
    private var runs: [WantedRun] = []
    /// Nil while that has not been said.
    private var wanted: WantedFiles?
    /// The number of the next file of the walk.
    private var file: UInt64 = 0
    /// Of what is read; nil where they are not wanted.
    private var checksums: ChecksumTaking?
    /// Whether anything was written since the caller was last told to send what there is.
    private var hasUnsent = false

    init(
        source: SourceTree, position: TransferPosition, start: ByteBuffer, manifestEnd: ByteBuffer?,
        wantsByNote: Bool, takesChecksums: Bool, done: UInt64
    ) {
        checksums = takesChecksums ? ChecksumTaking() : nil
        self.source = source
        self.position = position
        self.manifestEnd = manifestEnd
        self.wantsByNote = wantsByNote
        self.done = done
        pending = start
        walk = SourceWalk(through: source.catalogue)
        wanted = wantsByNote ? nil : WantedFiles(nil)
        phase = .manifest(piece: manifestEnd == nil ? source.catalogue.manifest.pieces.count : 0, offset: 0)
    }

    mutating func want(_ more: [WantedRun], isLast: Bool) {
        runs += more
        guard isLast else { return }
        wanted = WantedFiles(runs)
        // A receiver that has the manifest already need not wait for it.
        if case .notes = phase { phase = .betweenFiles }
    }

    /// What checksums are wanted of.
    var wantsChecksums: (tree: SourceTree, wanted: [WantedRun]?)? {
        checksums.map { _ in (source, wantsByNote ? runs : nil) }
    }

    var delivered: DeliveredCounts { source.delivered(wanted: wantsByNote ? runs : nil) }

    mutating func writeReason(into buffer: inout ByteBuffer) -> Bool {
        guard let fault else { return false }
        switch phase {
        case .manifest, .notes, .data, .ended: return false
        case .betweenFiles, .file, .pipe:
            buffer.writeBuffer(&pending)
            StreamEncoder.writeUnreadable(fault.reason, into: &buffer)
            phase = .ended
            return true
        }
    }

    // MARK: - Reading

    mutating func read(into buffer: inout ByteBuffer, room: Int) throws(SourceFault) -> SourceReader.Step {
        let start = buffer.writerIndex
        let end = start + max(0, room)
        while true {
            if let piece = pending.readSlice(length: min(pending.readableBytes, end - buffer.writerIndex)) {
                buffer.writeImmutableBuffer(piece)
            }
            if pending.readableBytes == 0 {
                pending.clear()
                switch phase {
                case .notes: return .waitsForNotes
                case .ended: return .end
                case .manifest, .betweenFiles, .file, .data, .pipe: break
                }
            }
            let hasWritten = buffer.writerIndex > start
            let room = end - buffer.writerIndex
            guard room > 0 else {
                hasUnsent = hasUnsent || hasWritten
                return .more
            }
            if case .pipe = phase, hasUnsent || hasWritten, source.pipe?.isEmpty == true {
                // What was read before must not wait for what may never come.
                hasUnsent = false
                return .flush
            }
            try step(into: &buffer, room: room)
        }
    }

    /// Goes on by a record or so.
    private mutating func step(into buffer: inout ByteBuffer, room: Int) throws(SourceFault) {
        switch phase {
        case .manifest(let piece, let offset): writeManifest(piece, offset, into: &buffer, room)
        case .betweenFiles: try beginFile()
        case .file(let file) where file.size == nil: try readUnsized(file, into: &buffer, room)
        case .file(let file): try beginExtent(file)
        case .data(var file, let left):
            let wanted = Int(min(left, UInt64(min(room, Defaults.maximumRead))))
            let count = try reading { () throws(SystemError) in try file.read(wanted, into: &buffer) }
            guard count > 0 else { throw .shrank(walk.shownPath) }
            done += UInt64(count)
            checksums?.update(buffer, last: count)
            let rest = left - UInt64(count)
            phase = rest == 0 ? .file(file) : .data(file, left: rest)
        case .pipe(let length): try readPipe(length, into: &buffer, room)
        case .notes, .ended: break
        }
    }

    private mutating func writeManifest(_ piece: Int, _ offset: Int, into buffer: inout ByteBuffer, _ room: Int) {
        let pieces = source.catalogue.manifest.pieces
        guard piece < pieces.count else {
            pending = manifestEnd ?? ByteBuffer()
            phase = wanted == nil ? .notes : .betweenFiles
            return
        }
        let length = min(room, pieces[piece].readableBytes - offset)
        if let slice = pieces[piece].getSlice(at: pieces[piece].readerIndex + offset, length: length) {
            buffer.writeImmutableBuffer(slice)
        }
        let isWhole = offset + length == pieces[piece].readableBytes
        phase = .manifest(piece: isWhole ? piece + 1 : piece, offset: isWhole ? 0 : offset + length)
    }

    /// Finds the next file that is to be sent, or the end.
    private mutating func beginFile() throws(SourceFault) {
        while let (_, size) = walk.nextFile() {
            let number = file
            file += 1
            let isWanted = wanted?.next() == true
            guard number >= position.file else { continue }
            let offset = number == position.file ? position.offset : 0
            guard isWanted else {
                done += (size ?? offset) - min(size ?? offset, offset)
                continue
            }
            guard !source.isClosed else { throw .closed(walk.shownPath) }
            checksums?.begin(TransferPosition(file: number, offset: offset))
            guard source.pipe == nil else {
                phase = .pipe(length: offset)
                return
            }
            // Nothing of it has to be read, but that it is still so.
            if size == 0 {
                try walk.check()
                endChecksum()
                StreamEncoder.writeFileEnd(into: &pending)
                return
            }
            let open = try walk.open()
            phase = .file(
                try reading { () throws(SystemError) in
                    try SourceFile(open, size: size, offset: offset, looksForHoles: source.catalogue.hasHoles)
                }
            )
            return
        }
        StreamEncoder.writeEnd(into: &pending)
        phase = .ended
    }

    private mutating func beginExtent(_ file: SourceFile) throws(SourceFault) {
        var file = file
        switch try reading({ () throws(SystemError) in try file.nextExtent() }) {
        case .data(let length):
            let length = min(length, UInt64(UInt32.max))
            StreamEncoder.writeDataHead(length: UInt32(clamping: length), into: &pending)
            phase = .data(file, left: length)
        case .hole(let length):
            StreamEncoder.writeHole(length: length, into: &pending)
            checksums?.skip(length)
            file.skip(length)
            done += length
            phase = .file(file)
        case .end: try endFile(file)
        }
    }

    private mutating func endFile(_ file: SourceFile) throws(SourceFault) {
        let status = try reading { () throws(SystemError) in try file.file.status() }
        if let change = walk.change(status, size: file.size) { throw change }
        if file.size == nil { source.remember(length: file.offset, of: self.file - 1) }
        endChecksum()
        StreamEncoder.writeFileEnd(into: &pending)
        phase = .betweenFiles
    }

    private mutating func endChecksum() {
        checksums?.end()
        if let sha256 = checksums?.taken[file - 1] { source.remember(sha256: sha256, of: file - 1) }
    }

    private func reading<Value>(_ body: () throws(SystemError) -> Value) throws(SourceFault) -> Value {
        do throws(SystemError) { return try body() } catch { throw .cannotReadOn(walk.shownPath, error) }
    }

    // MARK: - What has no known size

    /// Of a file that only its end says the size of: a record for each read.
    private mutating func readUnsized(
        _ file: SourceFile, into buffer: inout ByteBuffer, _ room: Int
    ) throws(SourceFault) {
        var file = file
        var checksums = checksums
        let count = try reading { () throws(SystemError) in
            try record(into: &buffer, room) { (length, buffer) throws(SystemError) in
                let count = try file.read(length, into: &buffer)
                checksums?.update(buffer, last: count)
                return count
            }
        }
        self.checksums = checksums
        guard count > 0 else { return try endFile(file) }
        done += UInt64(count)
        phase = .file(file)
    }

    private mutating func readPipe(
        _ length: UInt64, into buffer: inout ByteBuffer, _ room: Int
    ) throws(SourceFault) {
        guard let pipe = source.pipe else { return }
        let count: Int
        var checksums = checksums
        do throws(SystemError) {
            count = try record(into: &buffer, room) { (length, buffer) throws(SystemError) in
                let count = try pipe.read(length, into: &buffer)
                checksums?.update(buffer, last: count)
                return count
            }
            self.checksums = checksums
        } catch {
            throw .standardInput(error)
        }
        guard count > 0 else {
            source.remember(length: length, of: file - 1)
            endChecksum()
            StreamEncoder.writeFileEnd(into: &pending)
            phase = .betweenFiles
            return
        }
        done += UInt64(count)
        phase = .pipe(length: length + UInt64(count))
    }

    /// Writes a record of what `read` brings behind its head, whose length is not known before. Where there is no room
    /// for the head, it is written later.
    private mutating func record(
        into buffer: inout ByteBuffer, _ room: Int,
        _ read: (Int, inout ByteBuffer) throws(SystemError) -> Int
    ) throws(SystemError) -> Int {
        let head = StreamEncoder.headLength
        if room > head {
            return try Self.record(into: &buffer, min(room - head, Defaults.maximumRead), read)
        }
        return try Self.record(into: &pending, head, read)
    }

    private static func record(
        into buffer: inout ByteBuffer, _ length: Int, _ read: (Int, inout ByteBuffer) throws(SystemError) -> Int
    ) throws(SystemError) -> Int {
        let start = buffer.writerIndex
        StreamEncoder.writeDataHead(length: 0, into: &buffer)
        let count: Int
        do throws(SystemError) { count = try read(length, &buffer) } catch {
            buffer.moveWriterIndex(to: start)
            throw error
        }
        buffer.moveWriterIndex(to: start)
        guard count > 0 else { return 0 }
        StreamEncoder.writeDataHead(length: UInt32(clamping: count), into: &buffer)
        buffer.moveWriterIndex(forwardBy: count)
        return count
    }
}
