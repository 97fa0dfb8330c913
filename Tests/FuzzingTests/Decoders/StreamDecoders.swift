// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import WSProtocol

@testable import RelayClientProgram
@testable import Sealing

extension SealedDecoders {
    /// The plaintext of a stream. An end of the manifest without a body stands for the one with the right digest,
    /// signed by the sender: no input comes upon that by itself.
    static let stream = FuzzedDecoder(
        "stream", longest: 6_000, of: .records(lengthBytes: 4, prefix: .bytes(2)),
        sources: [
            "Sealing/Stream/EntryOrder.swift", "Sealing/Stream/ManifestDecoder.swift",
            "Sealing/Stream/ManifestEncoder.swift", "Sealing/Stream/ManifestEntry.swift",
            "Sealing/Stream/ManifestReader.swift", "Sealing/Stream/StreamDecoder.swift",
            "Sealing/Stream/StreamEncoder.swift", "Sealing/Stream/WrittenManifest.swift",
            "RelayClientProgram/Files/ManifestFile.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        let choice = reader.byte()
        let place = try Place()
        let expectation = try expectation(choice, place)
        let stream = try finished(Array(reader.rest), place)
        try kept(Array(reader.rest.dropFirst()))
        let read = try Pieces.same(stream, "a stream") { try StreamRead($0, expectation, resumed: choice & 0x80 != 0) }
        guard let read, !read.entries.isEmpty else { return }
        try writeAgain(read.entries, place)
    }

    /// A manifest that was kept in a file, which may be shorter by now.
    private static func kept(_ bytes: [UInt8]) throws {
        let file = try OpenFile.holding(bytes)
        for length in [UInt64(bytes.count), UInt64(bytes.count) + 1] {
            let digest = try ManifestFileReader.digest(of: file, length: length)
            try hold((digest != nil) == (length == bytes.count), "a digest of \(length) bytes of \(bytes.count)")
            var (reader, entries) = (ManifestFileReader(file, length: length), [ManifestEntry]())
            var isWhole = false
            do {
                while let entry = try reader.next() { entries.append(entry) }
                isWhole = true
            } catch { try hold(reader.number == entries.count, "\(reader.number) entries of \(entries.count)") }
            try hold(!isWhole || length == bytes.count, "a manifest that was cut is whole")
            guard isWhole else { continue }
            var writer = ManifestFileWriter(try OpenFile.holding([]), calls: FileCalls())
            // The reader leaves it to the digest that entries stand in their order.
            do { for entry in entries { try writer.write(entry) } } catch { continue }
            try writer.flush()
            try hold(writer.length == length && writer.digest == digest, "a manifest is written in two ways")
            try hold(writer.entries == entries.count && writer.files <= writer.entries, "\(writer.entries) entries")
        }
    }

    private static let digest = [UInt8](repeating: 4, count: 32)

    private static func expectation(_ choice: UInt8, _ place: Place) throws -> StreamExpectation {
        let isWhole = choice & 0x80 == 0
        // As a receiver makes it of the offer that it has opened.
        if choice & 0x7F == 0x7F { return place.expectation(goesOnWith: isWhole ? nil : digest) }
        let kinds = OfferSummary.Kind.allCases
        let names = choice & 4 == 0 ? ["a"] : ["a", "b"]
        let summary = OfferSummary(names: names, kind: kinds[Int(choice >> 3) % kinds.count])
        return StreamExpectation(
            form: isWhole ? .manifest : .digest, transfer: place.transfer, sender: place.parties.sender.identity,
            entries: choice & 1 == 0 ? nil : 2, bytes: choice & 2 == 0 ? nil : 3,
            summary: choice & 0x20 == 0 ? nil : summary,
            names: choice & 0x40 == 0 ? nil : try names.map { try EntryName(Array($0.utf8)) },
            digest: isWhole ? nil : digest
        )
    }

    /// The stream with the ends of manifests that it leaves to be made.
    private static func finished(_ stream: [UInt8], _ place: Place) throws -> [UInt8] {
        var reader = InputReader(stream)
        var finished = [reader.byte()]
        var hash = SHA256()
        while reader.rest.count >= StreamRecordKind.headLength {
            let rest = reader.rest
            let kind = reader.byte()
            let length = reader.short() << 16 | reader.short()
            // One byte stands for the one whose signature is another.
            guard kind == StreamRecordKind.manifestEnd.rawValue, length < 2 else {
                guard kind < StreamRecordKind.manifestEnd.rawValue else { return finished + rest }
                let record = Array(rest.prefix(StreamRecordKind.headLength)) + reader.bytes(length)
                hash.update(data: record)
                finished += record
                continue
            }
            var end = ByteBuffer()
            try ManifestEncoder.writeEnd(
                Array(hash.finalize()), of: place.transfer, signedBy: place.sender, into: &end)
            finished += end.readableBytesView
            if length == 1 { finished[finished.count - 1] ^= max(1, reader.byte()) }
            return finished + reader.rest
        }
        return finished + reader.rest
    }

    /// What was read is written by those who send, and read back by those who have written it.
    private static func writeAgain(_ entries: [ManifestEntry], _ place: Place) throws {
        var (encoder, written) = (ManifestEncoder(), WrittenManifest())
        var bytes = ByteBuffer()
        StreamEncoder.writeManifestForm(into: &bytes)
        for entry in entries {
            try encoder.write(entry, into: &bytes)
            try written.append(entry)
        }
        _ = bytes.readInteger(as: UInt8.self)
        let joined = written.pieces.reduce(into: [UInt8]()) { $0 += $1.readableBytesView }
        try hold(joined == Array(bytes.readableBytesView), "a manifest is written in two ways")
        try hold(written.digest == encoder.soFar && written.files == encoder.files, "two digests of one manifest")
        try hold(written.bytes == encoder.bytes && written.entries == encoder.entries, "two sums of one manifest")
        var (reader, cursor) = (ManifestReader(), WrittenManifest.Cursor())
        for entry in entries {
            try hold(try reader.next(from: &bytes) == entry, "\(entry) is another one when it is read back")
            guard let outline = written.next(&cursor) else { throw Broken(description: "\(entry) has no outline") }
            try hold(outline.parent == entry.parent && entry.name.bytes == Array(outline.name), "another \(outline)")
        }
        try hold(written.next(&cursor) == nil && bytes.readableBytes == 0, "more entries than there are")
        var other = ByteBuffer()
        let signed = try encoder.finish(of: place.transfer, signedBy: place.sender, into: &other)
        try hold(signed == written.digest, "two digests of one manifest")
        let start = written.streamLength
        var end = ByteBuffer()
        try written.writeEnd(of: place.transfer, signedBy: place.sender, into: &end)
        try hold(start == UInt64(1 + joined.count + end.readableBytes), "a stream of \(start) bytes is another length")
        try content(entries, Array(joined), end, place)
    }

    /// A stream of these entries with content in each way that a sender writes it.
    private static func content(
        _ entries: [ManifestEntry], _ manifest: [UInt8], _ end: ByteBuffer, _ place: Place
    ) throws {
        var stream = ByteBuffer(bytes: [StreamForm.manifest.rawValue] + manifest)
        stream.writeImmutableBuffer(end)
        for entry in entries {
            guard case .file(let size) = entry.kind else { continue }
            if size == nil || size == 1 {
                StreamEncoder.writeDataHead(length: 1, into: &stream)
                stream.writeInteger(UInt8(7))
            } else if let size, size > 0 {
                StreamEncoder.writeHole(length: size, into: &stream)
            }
            StreamEncoder.writeFileEnd(into: &stream)
            _ = StreamEncoder.contentLength(of: size ?? .max)
        }
        StreamEncoder.writePadding(room: entries.count, into: &stream)
        StreamEncoder.writeEnd(into: &stream)
        let plain = StreamExpectation(
            form: .manifest, transfer: place.transfer, sender: place.parties.sender.identity, entries: nil, bytes: nil,
            digest: nil
        )
        let read = try StreamRead([stream], plain, resumed: false)
        try hold(read.fault == nil && read.entries == entries, "what was written is not read: \(read)")
        try goOn(place)
    }

    /// A stream whose manifest the receiver has, to its end and to a file that cannot be read.
    private static func goOn(_ place: Place) throws {
        var stream = ByteBuffer()
        StreamEncoder.writeDigest(digest, into: &stream)
        StreamEncoder.writeDataHead(length: 2, into: &stream)
        stream.writeInteger(UInt16(7))
        StreamEncoder.writeFileEnd(into: &stream)
        var cut = stream
        StreamEncoder.writeFileEnd(into: &stream)
        StreamEncoder.writeEnd(into: &stream)
        StreamEncoder.writeUnreadable(.shrank, into: &cut)
        let expectation = place.expectation(goesOnWith: digest)
        let read = try StreamRead([stream], expectation, resumed: true)
        try hold(read.fault == nil, "what goes on is not read: \(read)")
        try hold(try StreamRead([cut], expectation, resumed: true).fault != nil, "a file that cannot be read is read")
    }
}

/// Everything that a decoder makes of a stream, whose files are all wanted.
private struct StreamRead: Equatable {
    private(set) var entries: [ManifestEntry] = []
    /// Content and what is around it; content that is one behind the other is joined.
    private var steps: [Step] = []
    private(set) var fault: SealingError?

    private enum Step: Equatable {
        case data([UInt8])
        case other(StreamDecoder.Step)
    }

    init(_ pieces: [ByteBuffer], _ expectation: StreamExpectation, resumed: Bool) throws {
        var decoder = StreamDecoder(expectation)
        var due: [ExpectedFile] = resumed ? [ExpectedFile(size: 4, offset: 2), ExpectedFile(size: nil)] : []
        do {
            for (index, piece) in pieces.enumerated() {
                if index.isMultiple(of: 2) {
                    decoder.append(piece)
                } else {
                    decoder.append { (buffer: inout ByteBuffer) in _ = buffer.writeImmutableBuffer(piece) }
                }
                while let step = try next(&decoder) {
                    take(step)
                    if case .entry(let entry) = step, case .file(let size) = entry.kind {
                        due.append(ExpectedFile(size: size))
                    }
                    if step == .nextFile { decoder.begin(due.isEmpty ? nil : due.removeFirst()) }
                }
            }
            try decoder.finish()
        } catch let error as SealingError {
            fault = error
        }
    }

    /// The next step; what it has thrown it throws again, and such a stream is not whole.
    private func next(_ decoder: inout StreamDecoder) throws -> StreamDecoder.Step? {
        let first = Result { () throws(SealingError) in try decoder.next() }
        if case .failure = first {
            let second = Result { () throws(SealingError) in try decoder.next() }
            try hold(second == first, "\(second) behind \(first)")
            try hold((try? decoder.finish()) == nil, "a whole stream behind \(first)")
        }
        let step = try first.get()
        return step == .needMore ? nil : step
    }

    private mutating func take(_ step: StreamDecoder.Step) {
        if case .entry(let entry) = step { entries.append(entry) }
        guard case .data(let data) = step else { return steps.append(.other(step)) }
        guard case .data(let before)? = steps.last else { return steps.append(.data(Array(data.readableBytesView))) }
        steps[steps.count - 1] = .data(before + Array(data.readableBytesView))
    }
}
