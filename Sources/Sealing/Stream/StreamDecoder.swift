// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// A file whose content is due.
package struct ExpectedFile: Hashable, Sendable {
    /// As its entry says; nil when it is not known.
    package let size: UInt64?
    /// What the receiver has of it already.
    package let offset: UInt64

    package init(size: UInt64?, offset: UInt64 = 0) {
        self.size = size
        self.offset = offset
    }
}

/// Reads the plaintext of a stream, chunk by chunk as they were opened. Keeps a record of a manifest at most, or the
/// head of one: content is passed on as slices of what came in.
package struct StreamDecoder: Sendable {
    /// What comes next in the stream.
    package enum Step: Hashable, Sendable {
        /// An entry of the manifest, in order.
        case entry(ManifestEntry)
        /// The manifest is whole, what was announced, and signed by the sender. Or it is the one that the receiver has.
        case manifest(ManifestDigest)
        /// The caller has to say, with ``begin(_:)``, which file's content is due.
        case nextFile
        /// Content of that file; never empty.
        case data(ByteBuffer)
        /// So many zero bytes of it.
        case hole(UInt64)
        /// The file is as long as its entry says.
        case fileEnd
        /// The stream is whole.
        case end
        /// Everything that came has been taken.
        case needMore
    }

    private enum State: Hashable {
        case form
        case manifest
        case betweenFiles
        /// - missing: how many bytes of it are to come; nil when its size is not known.
        case file(missing: UInt64?)
        /// Inside a record of content, of which `left` bytes are to come, 1 or more.
        case data(left: UInt32, missing: UInt64?)
        case afterFiles
        case ended
        case failed(SealingError)
    }

    private let expectation: StreamExpectation
    private var manifest: ManifestDecoder
    private var state = State.form
    private var buffer = ByteBuffer()

    package init(_ expectation: StreamExpectation) {
        self.expectation = expectation
        manifest = ManifestDecoder(expectation)
    }

    /// Takes the plaintext of the next chunk, once everything before it was taken: when ``next()`` says `needMore`.
    package mutating func append(_ plaintext: ByteBuffer) {
        var plaintext = plaintext
        guard buffer.readableBytes > 0 else {
            buffer = plaintext
            return
        }
        // Otherwise it would grow for as long as no record ends with a chunk.
        buffer.discardReadBytes()
        buffer.writeBuffer(&plaintext)
    }

    /// As ``append(_:)``, for plaintext that `write` writes behind what is in the buffer. Memory that no step is kept
    /// of is used again.
    package mutating func append<Failure>(
        _ write: (inout ByteBuffer) throws(Failure) -> Void
    ) throws(Failure) {
        if buffer.readableBytes == 0 { buffer.clear() } else { buffer.discardReadBytes() }
        try write(&buffer)
    }

    /// Says which file's content is due, after `nextFile`; nil when no other is.
    package mutating func begin(_ file: ExpectedFile?) {
        guard state == .betweenFiles else { return }
        guard let file else {
            state = .afterFiles
            return
        }
        state = .file(missing: file.size.map { $0 - min($0, file.offset) })
    }

    /// The last chunk has been taken: throws unless the stream is whole.
    package func finish() throws(SealingError) {
        guard state == .ended, buffer.readableBytes == 0 else { throw .content(.missingFiles) }
    }

    /// The next step. What it throws it throws again.
    package mutating func next() throws(SealingError) -> Step {
        do { return try step() } catch {
            state = .failed(error)
            throw error
        }
    }

    private mutating func step() throws(SealingError) -> Step {
        while true {
            switch state {
            case .form:
                switch expectation.form {
                case .manifest: guard try readForm() else { return .needMore }
                case .digest: return try readDigest()
                }
            case .manifest: return try readManifest()
            case .betweenFiles: return .nextFile
            case .file(let missing):
                guard let step = try readContent(missing: missing) else { continue }
                return step
            case .afterFiles:
                guard let step = try readContent(missing: nil) else { continue }
                return step
            case .data(let left, let missing):
                let length = min(Int(left), buffer.readableBytes)
                guard length > 0, let data = buffer.readSlice(length: length) else { return .needMore }
                let rest = left - UInt32(length)
                state = rest == 0 ? .file(missing: missing) : .data(left: rest, missing: missing)
                return .data(data)
            case .ended:
                guard buffer.readableBytes == 0 else { throw .content(.behindEnd) }
                return .needMore
            case .failed(let error): throw error
            }
        }
    }

    // MARK: - The beginning and the manifest

    /// False when the first byte is not there yet.
    private mutating func readForm() throws(SealingError) -> Bool {
        guard let form = buffer.readInteger(as: UInt8.self) else { return false }
        guard form == StreamForm.manifest.rawValue else { throw .manifest(.form(form)) }
        state = .manifest
        return true
    }

    private mutating func readDigest() throws(SealingError) -> Step {
        guard let form = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) else { return .needMore }
        guard form == StreamForm.digest.rawValue else { throw .manifest(.form(form)) }
        let length = KeyDerivation.hashLength
        guard buffer.readableBytes > length else { return .needMore }
        buffer.moveReaderIndex(forwardBy: 1)
        guard let digest = buffer.readBytes(length: length), digest == expectation.digest else { throw .sourceChanged }
        state = .betweenFiles
        return .manifest(digest)
    }

    private mutating func readManifest() throws(SealingError) -> Step {
        guard let (byte, length) = head() else { return .needMore }
        guard let kind = StreamRecordKind(rawValue: byte), ManifestDecoder.holds(kind) else {
            throw .manifest(.kind(byte))
        }
        guard length <= StreamRecordKind.longestBody else { throw .manifest(.longRecord(length)) }
        guard let body = readBody(Int(length)) else { return .needMore }
        do {
            switch try manifest.take(kind, body: body) {
            case .entry(let entry): return .entry(entry)
            case .end(let digest):
                state = .betweenFiles
                return .manifest(digest)
            }
        } catch {
            throw .manifest(error)
        }
    }

    // MARK: - Content

    /// Nil when there is more to read before there is something to say.
    private mutating func readContent(missing: UInt64?) throws(SealingError) -> Step? {
        guard let (byte, length) = head() else { return .needMore }
        guard let kind = StreamRecordKind(rawValue: byte) else { throw .content(.kind(byte)) }
        let isInFile = state != .afterFiles
        switch kind {
        case .folder, .file, .link, .manifestEnd: throw .content(.kind(byte))
        case .data:
            guard isInFile else { throw .content(.noFile) }
            guard length > 0 else { throw .content(.length(kind: byte, length)) }
            guard missing.map({ UInt64(length) <= $0 }) ?? true else { throw .content(.fileLength) }
            buffer.moveReaderIndex(forwardBy: StreamRecordKind.headLength)
            state = .data(left: length, missing: missing.map { $0 - UInt64(length) })
            return nil
        case .hole: return try readHole(length, missing: isInFile ? missing : nil)
        case .fileEnd:
            guard isInFile else { throw .content(.noFile) }
            guard length == 0 else { throw .content(.length(kind: byte, length)) }
            guard missing ?? 0 == 0 else { throw .content(.fileLength) }
            buffer.moveReaderIndex(forwardBy: StreamRecordKind.headLength)
            state = .betweenFiles
            return .fileEnd
        case .unreadable: return try readReason(length)
        case .padding: return try readPadding(length)
        case .end:
            guard !isInFile else { throw .content(.missingFiles) }
            guard length == 0 else { throw .content(.length(kind: byte, length)) }
            buffer.moveReaderIndex(forwardBy: StreamRecordKind.headLength)
            state = .ended
            return .end
        }
    }

    /// - Parameter missing: nil where there is no file, or one of unknown size, which has no holes: it would be as long
    ///   as a sender likes for nothing.
    private mutating func readHole(_ length: UInt32, missing: UInt64?) throws(SealingError) -> Step {
        guard length == 8 else { throw .content(.length(kind: StreamRecordKind.hole.rawValue, length)) }
        guard let body = readBody(Int(length)) else { return .needMore }
        var reader = FieldReader(body)
        guard let missing, let hole = reader.integer(UInt64.self), hole > 0, hole <= missing else {
            throw .content(.fileLength)
        }
        state = .file(missing: missing - hole)
        return .hole(hole)
    }

    private mutating func readReason(_ length: UInt32) throws(SealingError) -> Step {
        guard length == 2 else { throw .content(.length(kind: StreamRecordKind.unreadable.rawValue, length)) }
        guard let body = readBody(Int(length)) else { return .needMore }
        let number = UInt16(body[0]) << 8 | UInt16(body[1])
        guard let reason = UnreadableReason(rawValue: number) else { throw .content(.reason(number)) }
        throw .unreadable(reason)
    }

    private mutating func readPadding(_ length: UInt32) throws(SealingError) -> Step? {
        guard length <= StreamRecordKind.longestBody else {
            throw .content(.length(kind: StreamRecordKind.padding.rawValue, length))
        }
        guard let body = readBody(Int(length)) else { return .needMore }
        guard body.allSatisfy({ $0 == 0 }) else { throw .content(.padding) }
        return nil
    }

    // MARK: - Records

    /// Kind and length of the next record, which stay in the buffer.
    private func head() -> (kind: UInt8, length: UInt32)? {
        guard let kind = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self),
            let length = buffer.getInteger(at: buffer.readerIndex + 1, as: UInt32.self)
        else { return nil }
        return (kind, length)
    }

    /// The body of a record that is there as a whole, which is then taken.
    private mutating func readBody(_ length: Int) -> [UInt8]? {
        guard buffer.readableBytes >= StreamRecordKind.headLength + length else { return nil }
        buffer.moveReaderIndex(forwardBy: StreamRecordKind.headLength)
        return buffer.readBytes(length: length)
    }
}
