// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import Sealing

/// What a stream brought.
struct StreamContents: Equatable {
    var entries: [ManifestEntry] = []
    /// The content of each file; holes as zero bytes.
    var files: [[UInt8]] = []
    var digest: ManifestDigest = []
}

/// Writes whole streams, and reads them.
enum StreamFixture {
    /// How content is written.
    struct Style {
        /// The most bytes of one record.
        var record = 1_000
        /// Whether runs of zero bytes are holes.
        var hasHoles = false
    }

    static func manifest(_ entries: [ManifestEntry], in attempt: Attempt) throws -> (
        bytes: [UInt8], digest: ManifestDigest
    ) {
        var buffer = ByteBuffer()
        StreamEncoder.writeManifestForm(into: &buffer)
        var encoder = ManifestEncoder()
        for entry in entries { try encoder.write(entry, into: &buffer) }
        let digest = try encoder.finish(of: attempt.transfer, signedBy: attempt.alice.identity, into: &buffer)
        return (Array(buffer.readableBytesView), digest)
    }

    /// - Parameter files: what is left to be sent of each wanted file.
    static func content(_ files: [[UInt8]], _ style: Style = Style()) -> [UInt8] {
        var buffer = ByteBuffer()
        for file in files {
            var rest = file[...]
            while let first = rest.first {
                if style.hasHoles, first == 0 {
                    let zeros = rest.prefix { $0 == 0 }.count
                    StreamEncoder.writeHole(length: UInt64(zeros), into: &buffer)
                    rest = rest.dropFirst(zeros)
                    continue
                }
                let run = rest.prefix(style.record)
                let piece = style.hasHoles ? run.prefix { $0 != 0 } : run
                StreamEncoder.writeDataHead(length: UInt32(piece.count), into: &buffer)
                buffer.writeBytes(piece)
                rest = rest.dropFirst(piece.count)
            }
            StreamEncoder.writeFileEnd(into: &buffer)
        }
        StreamEncoder.writeEnd(into: &buffer)
        return Array(buffer.readableBytesView)
    }

    static func expectation(
        of attempt: Attempt, entries: UInt64? = nil, bytes: UInt64? = nil
    ) -> StreamExpectation {
        StreamExpectation(
            form: .manifest, transfer: attempt.transfer, sender: attempt.alice.party.identity, entries: entries,
            bytes: bytes, digest: nil
        )
    }

    /// Reads a stream that comes in pieces of these lengths, over and over. All files are wanted.
    static func read(
        _ stream: [UInt8], _ expectation: StreamExpectation, pieces: [Int] = [.max],
        resumed: [ExpectedFile] = []
    ) throws -> StreamContents {
        var decoder = StreamDecoder(expectation)
        var contents = StreamContents()
        var due = resumed[...]
        var rest = stream[...]
        var turn = 0
        while true {
            switch try decoder.next() {
            case .entry(let entry):
                contents.entries.append(entry)
                if case .file(let size) = entry.kind { due.append(ExpectedFile(size: size)) }
            case .manifest(let digest): contents.digest = digest
            case .nextFile:
                if !due.isEmpty { contents.files.append([]) }
                decoder.begin(due.popFirst())
            case .data(let data): contents.files[contents.files.count - 1] += Array(data.readableBytesView)
            case .hole(let length):
                contents.files[contents.files.count - 1] += [UInt8](repeating: 0, count: Int(length))
            case .fileEnd: break
            case .end: break
            case .needMore:
                guard !rest.isEmpty else {
                    try decoder.finish()
                    return contents
                }
                let piece = rest.prefix(pieces[turn % pieces.count])
                turn += 1
                rest = rest.dropFirst(piece.count)
                // One of them takes the memory that it is given, the other its own.
                if turn.isMultiple(of: 2) {
                    decoder.append(ByteBuffer(bytes: piece))
                } else {
                    decoder.append { buffer in _ = buffer.writeBytes(piece) }
                }
            }
        }
    }

    static func name(_ text: String) throws -> EntryName { try EntryName(Array(text.utf8)) }
}

/// Random trees, as a manifest has them: depth first, names in order.
struct RandomTree {
    private(set) var entries: [ManifestEntry] = []
    private(set) var files: [[UInt8]] = []
    private var generator: SeededGenerator

    init(seed: UInt64) throws {
        generator = SeededGenerator(seed: seed)
        try fill(nil, depth: 0)
    }

    private mutating func fill(_ parent: UInt32?, depth: Int) throws {
        let count = Int.random(in: (depth == 0 ? 1 : 0)...6, using: &generator)
        let names = try Set((0..<count).map { _ in try name() }).sorted()
        for name in names {
            let kind = Int.random(in: 0..<10, using: &generator)
            let time = Int64.random(in: .min ... .max, using: &generator)
            let mode = Bool.random(using: &generator) ? UInt16.random(in: 0...0o777, using: &generator) : nil
            var entry = ManifestEntry(
                .folder, name: name, parent: parent, seconds: time,
                nanoseconds: .random(in: 0..<1_000_000_000, using: &generator), mode: mode
            )
            if kind == 0 { entry.kind = .link(target: generator.bytes(5).map { max($0, 1) }) }
            if kind > 4 || depth > 4 {
                let content = content()
                entry.kind = .file(size: kind == 9 ? nil : UInt64(content.count))
                if kind == 9 { files.append(content.map { max($0, 1) }) } else { files.append(content) }
            }
            entries.append(entry)
            if entry.kind == .folder { try fill(UInt32(entries.count - 1), depth: depth + 1) }
        }
    }

    private mutating func name() throws -> EntryName {
        let letters = ["a", "B", "é", "日", "-", " ", "\n", ".x", "\u{202E}", "1"]
        let length = Int.random(in: 1...6, using: &generator)
        return try StreamFixture.name(
            (0..<length).map { _ in letters.randomElement(using: &generator) ?? "a" }.joined())
    }

    private mutating func content() -> [UInt8] {
        let length = [0, 1, 13, 999, 1_000, 1_001].randomElement(using: &generator) ?? 0
        var content = generator.bytes(length)
        if length > 13 {
            let start = Int.random(in: 0..<length, using: &generator)
            for index in start..<min(length, start + 600) { content[index] = 0 }
        }
        return content
    }
}
