// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// A tree as a sender has it: what stands in its manifest, and the content of its files.
struct SentTree {
    private(set) var entries: [ManifestEntry] = []
    /// The content of each file, in the order of the manifest.
    private(set) var files: [[UInt8]] = []
    let transfer: CarriedTransfer
    let identity = Curve25519.Signing.PrivateKey()
    let receiver = Curve25519.Signing.PrivateKey()

    init(transfer: CarriedTransfer = .random()) { self.transfer = transfer }

    /// Adds an entry behind all others; returns its number.
    @discardableResult
    mutating func add(
        _ name: String, in parent: UInt32? = nil, _ kind: ManifestEntry.Kind = .folder, time: Int64 = 1_700_000_000,
        mode: UInt16? = nil
    ) throws -> UInt32 {
        entries.append(
            ManifestEntry(
                kind, name: try EntryName(Array(name.utf8)), parent: parent, seconds: time, nanoseconds: 123_456_789,
                mode: mode
            )
        )
        return UInt32(entries.count - 1)
    }

    /// Adds a file.
    mutating func add(
        _ name: String, in parent: UInt32? = nil, content: [UInt8], isKnown: Bool = true, time: Int64 = 1_700_000_000,
        mode: UInt16? = nil
    ) throws {
        try add(name, in: parent, .file(size: isKnown ? UInt64(content.count) : nil), time: time, mode: mode)
        files.append(content)
    }

    /// A single file.
    static func file(_ name: String = "report.pdf", _ content: [UInt8] = Array("content".utf8)) throws -> SentTree {
        var tree = SentTree()
        try tree.add(name, content: content)
        return tree
    }

    /// The same tree with other content in a file.
    mutating func change(_ file: Int, _ change: (inout [UInt8]) -> Void) { change(&files[file]) }

    // MARK: - Its offer

    var summary: OfferSummary {
        let top = entries.filter { $0.parent == nil }
        let hasSizes = entries.allSatisfy { entry in entry.kind != .file(size: nil) }
        let isFolder = top.first?.kind == .folder
        return OfferSummary(
            names: top.prefix(8).map(\.name.text), entries: UInt64(entries.count),
            bytes: hasSizes ? UInt64(files.map(\.count).reduce(0, +)) : nil,
            kind: top.count > 1 ? .several : isFolder ? .folder : .file
        )
    }

    var offer: OfferedTransfer {
        get throws {
            OfferedTransfer(
                transfer: transfer, sender: try party("alice", identity), receiver: try party("bob", receiver),
                summary: summary
            )
        }
    }

    private func party(_ name: String, _ key: Curve25519.Signing.PrivateKey) throws -> Party {
        Party(
            name: try #require(PeerName(rawValue: name)),
            identity: try #require(SigningKey(bytes: key.publicKey.rawRepresentation))
        )
    }

    // MARK: - Its stream

    /// The plaintext of a stream from a position, of what is wanted; holes are not sent.
    func stream(from position: TransferPosition, wanted: [Bool]) throws -> [UInt8] {
        var buffer = ByteBuffer()
        var encoder = ManifestEncoder()
        var manifest = ByteBuffer()
        StreamEncoder.writeManifestForm(into: &manifest)
        for entry in entries { try encoder.write(entry, into: &manifest) }
        let digest = try encoder.finish(of: transfer, signedBy: identity, into: &manifest)
        if position == .beginning { buffer = manifest } else { StreamEncoder.writeDigest(digest, into: &buffer) }
        let sizes = sizes
        for (number, content) in files.enumerated() where number >= position.file && wanted[number] {
            let start = UInt64(number) == position.file ? Int(position.offset) : 0
            try #require(start <= content.count)
            Self.write(content[start...], isKnown: sizes[number] != nil, into: &buffer)
        }
        StreamEncoder.writeEnd(into: &buffer)
        return Array(buffer.readableBytesView)
    }

    private static func write(_ content: ArraySlice<UInt8>, isKnown: Bool, into buffer: inout ByteBuffer) {
        var rest = content
        while !rest.isEmpty {
            let zeros = rest.prefix { byte in byte == 0 }.count
            if isKnown, zeros >= 500 {
                StreamEncoder.writeHole(length: UInt64(zeros), into: &buffer)
                rest = rest.dropFirst(zeros)
                continue
            }
            let run = rest.prefix(900)
            StreamEncoder.writeDataHead(length: UInt32(run.count), into: &buffer)
            buffer.writeBytes(run)
            rest = rest.dropFirst(run.count)
        }
        StreamEncoder.writeFileEnd(into: &buffer)
    }

    private var sizes: [UInt64?] {
        entries.flatMap { entry -> [UInt64?] in
            if case .file(let size) = entry.kind { [size] } else { [] }
        }
    }

    func expectation(_ sink: some TransferSink) throws -> StreamExpectation {
        let (offer, position) = (try offer, sink.position)
        return StreamExpectation(
            form: StreamForm(at: position), transfer: transfer, sender: offer.sender.identity,
            entries: position == .beginning ? summary.entries : nil,
            bytes: position == .beginning ? summary.bytes : nil, digest: sink.manifest
        )
    }

    /// Whether each block that a receiver has is what it is here.
    func agrees(_ samples: [SourceSample]) -> Bool {
        samples.allSatisfy { sample in
            let content = files[Int(sample.file)]
            let start = Int(sample.block) * SourceSample.blockLength
            guard start < content.count else { return false }
            let block = Array(content[start...].prefix(SourceSample.blockLength))
            return (try? sample.check(block)) != nil
        }
    }
}

/// One attempt to carry a tree into a sink.
struct CarryingAttempt {
    let tree: SentTree
    var piece = 4_096
    /// How often checkpoints are made: after so many pieces.
    var checkpoints = 3

    /// How many bytes of the stream were taken, and whether all were.
    struct Outcome {
        var taken = 0
        var isWhole = false
        var acceptance: Acceptance
        var wanted: [Bool]
    }

    /// Carries at most so many bytes of the stream.
    @discardableResult
    func carry(into sink: some TransferSink, atMost limit: Int = .max) throws -> Outcome {
        let acceptance = try sink.acceptance()
        try #require(acceptance.position == sink.position)
        #expect(tree.agrees(acceptance.samples))
        var decoder = StreamDecoder(try tree.expectation(sink))
        var outcome = Outcome(acceptance: acceptance, wanted: tree.files.map { _ in true })
        var stream = try tree.stream(from: acceptance.position, wanted: outcome.wanted)[...]
        var pieces = 0
        while true {
            switch try decoder.next() {
            case .entry(let entry): try sink.take(entry)
            case .manifest(let digest):
                let notes = try sink.takeManifest(digest)
                #expect(notes.isEmpty == !acceptance.wantsByNote)
                guard acceptance.wantsByNote else { break }
                outcome.wanted = try read(notes)
                // The sender waits for the notes before it sends content.
                let whole = try tree.stream(from: acceptance.position, wanted: outcome.wanted)
                decoder = StreamDecoder(try tree.expectation(sink))
                stream = try skipManifest(whole, acceptance.position, &decoder)
            case .nextFile: decoder.begin(try sink.nextFile())
            case .data(let data): try sink.write(data)
            case .hole(let length): try sink.skip(length)
            case .fileEnd: try sink.endFile()
            case .end: outcome.isWhole = true
            case .needMore:
                if outcome.isWhole || outcome.taken >= limit { return outcome }
                let next = stream.prefix(min(piece, limit - outcome.taken))
                guard !next.isEmpty else { return outcome }
                stream = stream.dropFirst(next.count)
                outcome.taken += next.count
                decoder.append(ByteBuffer(bytes: next))
                pieces += 1
                if pieces.isMultiple(of: checkpoints) { try sink.checkpoint(now: .now(), isForced: true) }
            }
        }
    }

    private func read(_ notes: [WantedNote]) throws -> [Bool] {
        var reader = WantedFilesReader(files: UInt64(tree.files.count))
        var wanted: [Bool] = []
        for note in notes {
            for run in try reader.take(WantedNote(note.encoded)) {
                wanted += Array(repeating: false, count: Int(run.skip)) + Array(repeating: true, count: Int(run.take))
            }
        }
        #expect(reader.isComplete)
        return wanted + Array(repeating: false, count: tree.files.count - wanted.count)
    }

    /// Reads a stream up to its content, which is what is left.
    private func skipManifest(
        _ stream: [UInt8], _ position: TransferPosition, _ decoder: inout StreamDecoder
    ) throws -> ArraySlice<UInt8> {
        // What is left is the record of the end, when nothing is wanted. A form's digest is always needed with a byte
        // behind it.
        let start = try tree.stream(from: position, wanted: tree.files.map { _ in false }).count - 5
        decoder.append(ByteBuffer(bytes: stream[...start]))
        while true {
            switch try decoder.next() {
            case .entry: continue
            case .manifest: return stream[(start + 1)...]
            case .nextFile, .data, .hole, .fileEnd, .end, .needMore: throw CancellationError()
            }
        }
    }
}

extension SentTree {
    /// Names and content drawn at random.
    init(seed: UInt64, hasLinks: Bool = false, isDeep: Bool = true) throws {
        self.init()
        var generator = SeededGenerator(seed: seed)
        try fill(nil, depth: 0, hasLinks: hasLinks, isDeep: isDeep, &generator)
        if files.isEmpty { try add("\u{1F44D}", content: [1, 2, 3]) }
    }

    private mutating func fill(
        _ parent: UInt32?, depth: Int, hasLinks: Bool, isDeep: Bool, _ generator: inout SeededGenerator
    ) throws {
        let count = Int.random(in: (depth == 0 ? 1 : 0)...5, using: &generator)
        let letters = ["a", "B", "é", "日", "-", " ", "\n", ".x", "\u{202E}", "1"]
        let names = Set(
            (0..<count).map { _ in
                let length = Int.random(in: 1...6, using: &generator)
                return (0..<length).map { _ in letters.randomElement(using: &generator) ?? "a" }.joined()
            }
        )
        for name in names.map({ Array($0.utf8) }).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            let name = String(decoding: name, as: UTF8.self)
            let time = Int64.random(in: 0...4_000_000_000, using: &generator)
            let mode = Bool.random(using: &generator) ? UInt16.random(in: 0...0o777, using: &generator) : nil
            switch Int.random(in: 0..<10, using: &generator) {
            case 0 where hasLinks: try add(name, in: parent, .link(target: Array("../x\(depth)".utf8)), time: time)
            case 0...3 where depth < (isDeep ? 5 : 1):
                let number = try add(name, in: parent, .folder, time: time, mode: mode)
                try fill(number, depth: depth + 1, hasLinks: hasLinks, isDeep: isDeep, &generator)
            case 4:
                try add(
                    name, in: parent, content: generator.bytes(Int.random(in: 0...3_000, using: &generator)),
                    isKnown: false, time: time, mode: mode
                )
            default:
                let sizes = [0, 1, 999, 4_096, 65_536, 70_000, 200_001]
                var content = generator.bytes(sizes.randomElement(using: &generator) ?? 0)
                if content.count > 1_000, Bool.random(using: &generator) {
                    let start = Int.random(in: 0..<content.count, using: &generator)
                    for index in start..<content.count { content[index] = 0 }
                }
                try add(name, in: parent, content: content, time: time, mode: mode)
            }
        }
    }
}
