// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import NIOCore
import TestSupport
import WSProtocol

@testable import Sealing

/// What peers seal to each other. Plain bytes never come past the seal, so what an input says is sealed with the right
/// keys, and damaged afterwards where it says so.
enum SealedDecoders {
    static let offers = FuzzedDecoder(
        "offers", longest: 3_000,
        sources: [
            "Sealing/Offers/AcceptSealing.swift", "Sealing/Offers/OfferSealing.swift",
            "Sealing/Offers/OfferSummary.swift", "Sealing/Offers/PullQuery.swift",
            "Sealing/Offers/RequestSealing.swift", "Sealing/Offers/SignedEnvelope.swift",
            "Sealing/Errors/EntryName.swift", "Sealing/Fields/Fields.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        let place = try Place()
        let choice = reader.byte()
        let damage = choice & 0x80 == 0 ? nil : Damage(&reader)
        switch choice % 8 {
        case 0: try place.offer(Array(reader.rest), damage)
        case 1: try place.accept(Array(reader.rest), damage)
        case 2: try place.request(Array(reader.rest), damage)
        case 3: place.raw(Array(reader.rest))
        case 4: try summary(Array(reader.rest))
        case 5: try query(Array(reader.rest))
        // The plaintext as a whole, its signature and its padding too.
        case 6: try place.plaintext(Array(reader.rest), as: .offer)
        default: try place.plaintext(Array(reader.rest), as: .accept)
        }
    }

    private static func summary(_ json: [UInt8]) throws {
        guard let summary = OfferSummary(json) else { return }
        if let again = summary.encoded { try hold(OfferSummary(again) == summary, "\(summary) changes") }
        try hold(summary.offersSame(as: summary), "\(summary) is another offer than itself")
        try hold(summary.room ?? 0 <= summary.bytes ?? 0, "\(summary) takes more room than it is long")
        _ = summary.hasHoles
    }

    private static func query(_ json: [UInt8]) throws {
        if let path = try? PullPath(String(decoding: json, as: UTF8.self)) {
            try hold((try? PullPath(path.description)) == path, "\(path) changes")
        }
        guard let query = PullQuery(json) else { return }
        if let again = query.encoded { try hold(PullQuery(again) == query, "\(query) changes") }
        for kind in OfferSummary.Kind.allCases {
            _ = query.isAnswered(by: OfferSummary(names: query.names.map(\.text), kind: kind))
        }
    }

    static let notes = FuzzedDecoder(
        "notes", longest: 3_000,
        sources: [
            "Sealing/Attempts/NoteSealing.swift", "Sealing/Attempts/SealedBytes.swift",
            "Sealing/Attempts/DeliveredSealing.swift", "Sealing/Attempts/WantedFiles.swift",
            "Sealing/Offers/ListedEntry.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        let choice = reader.byte()
        let damage = choice & 0x80 == 0 ? nil : Damage(&reader)
        let bytes = Array(reader.rest)
        let keys = try Place().keys
        switch choice % 4 {
        case 0: try wanted(bytes)
        case 1: try note(bytes, damage, keys)
        case 2: try delivered(bytes, damage, keys)
        default: try listing(bytes)
        }
    }

    private static func wanted(_ bytes: [UInt8]) throws {
        guard let note = try? WantedNote(bytes) else { return }
        try hold(note.encoded == bytes, "\(note) is written otherwise")
        var reader = WantedFilesReader(files: 1 << 33)
        guard (try? reader.take(note)) != nil else { return }
        try hold(reader.isComplete == note.isLast, "\(note) is the last, or not")
        try hold(!note.isLast || (try? reader.take(note)) == nil, "a note behind the last")
        // As a receiver writes it who decides file by file.
        var writer = WantedFilesWriter()
        var notes: [WantedNote] = []
        for run in note.runs.prefix(8) where run.skip < 1_000 && run.take < 1_000 {
            for index in 0..<(run.skip + run.take) {
                if let full = writer.append(isWanted: index >= run.skip) { notes.append(full) }
            }
        }
        notes.append(writer.finish())
        // Every other file of more than one note holds.
        var others = WantedFilesWriter()
        let files = note.runs == [WantedRun(skip: 1, take: 1)] ? 2 * WantedNote.mostRuns + 2 : 0
        for index in 0..<files {
            if let full = others.append(isWanted: index & 1 == 1) { notes.append(full) }
        }
        if files > 0 {
            try hold(notes.count > 1, "one note of \(files) files")
            notes.append(others.finish())
        }
        for note in notes { try hold((try? WantedNote(note.encoded)) == note, "\(note) changes") }
    }

    private static func note(_ bytes: [UInt8], _ damage: Damage?, _ keys: AttemptKeys) throws {
        var opener = NoteSealing(of: .sender, with: keys)
        try hold((try? opener.open(bytes)) == nil, "a seal was guessed")
        for side in NoteSide.allCases {
            var (sealer, opener) = (NoteSealing(of: side, with: keys), NoteSealing(of: side, with: keys))
            for _ in 0..<2 {
                guard let sealed = try? sealer.seal(bytes) else { return }
                guard let damage, damage.damages(sealed) else {
                    try hold((try? opener.open(sealed)) == bytes, "a note that changes")
                    continue
                }
                try hold((try? opener.open(damage.of(sealed))) == nil, "a damaged note opens")
                try hold((try? opener.open(sealed)) == bytes, "a note that does not open behind a damaged one")
            }
        }
    }

    private static func delivered(_ bytes: [UInt8], _ damage: Damage?, _ keys: AttemptKeys) throws {
        try hold((try? DeliveredSealing.open(bytes, with: keys)) == nil, "a seal was guessed")
        let sealed =
            [SealingSuite.byte]
            + (try SealedBytes.seal(
                bytes, with: keys.delivered, nonce: [UInt8](repeating: 0, count: 12), as: .delivered
            ))
        guard let damage, damage.damages(sealed) else {
            guard let summary = try? DeliveredSealing.open(sealed, with: keys) else { return }
            try hold(try DeliveredSealing.seal(summary, with: keys) == sealed, "\(summary) is sealed otherwise")
            return
        }
        try hold((try? DeliveredSealing.open(damage.of(sealed), with: keys)) == nil, "it opens when it is damaged")
    }

    private static func listing(_ bytes: [UInt8]) throws {
        let entries = try Pieces.same(bytes, "a listing") { pieces in
            var reader = ListingReader()
            var entries: [ListedEntry] = []
            var isOver = false
            for piece in pieces where !isOver {
                do { entries += try reader.append(piece.readableBytesView) } catch { isOver = true }
            }
            if !isOver { isOver = (try? reader.finish()) == nil }
            // Of a listing that is refused, how much was taken before depends on the pieces.
            return isOver ? nil : entries
        }
        guard let entries = entries ?? nil else { return }
        var reader = ListingReader()
        try hold(try reader.append(entries.flatMap(\.line)) == entries, "a listing that changes")
    }

    static let chunks = FuzzedDecoder(
        "chunks", longest: 2_000,
        sources: [
            "Sealing/Chunks/ChunkCipher.swift", "Sealing/Chunks/ChunkNumbers.swift",
            "Sealing/Chunks/ChunkOpener.swift", "Sealing/Chunks/ChunkSealer.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        let keys = try Place().keys
        // How many full chunks, and the last one.
        let (count, choice) = (Int(reader.byte() % 3), reader.byte())
        let damage = choice & 1 == 0 ? nil : Damage(&reader)
        let end = Array(reader.rest)
        var plaintext = ByteBuffer()
        for number in 0..<count { plaintext.writeRepeatingByte(UInt8(number), count: Chunk.plaintextLength) }
        plaintext.writeBytes(end)
        let body = try seal(plaintext, keys, inPlace: choice & 2 == 0)
        try hold(
            UInt64(body.count) == Chunk.bodyLength(of: UInt64(plaintext.readableBytes)), "a body of \(body.count) bytes"
        )
        if let damage, damage.damages(body) {
            let opened = open(damage.of(body), keys, damage.piece, inPlace: choice & 4 == 0)
            try hold(opened.isCut, "a damaged body opens")
            let isPrefix = Array(plaintext.readableBytesView).starts(with: opened.plaintext)
            try hold(isPrefix, "a damaged body opens to something else")
        } else {
            for piece in [Int.max, 1_000, Chunk.length, Chunk.length + 1] {
                let opened = open(body, keys, piece, inPlace: choice & 4 == 0)
                try hold(!opened.isCut && opened.plaintext == Array(plaintext.readableBytesView), "it does not open")
            }
        }
        _ = open(end, keys, 7, inPlace: true)
        try numbers(reader.short(), keys)
    }

    private static func seal(_ plaintext: ByteBuffer, _ keys: AttemptKeys, inPlace: Bool) throws -> [UInt8] {
        var plaintext = plaintext
        var sealer = ChunkSealer(of: keys)
        var body = ByteBuffer()
        func seal(_ work: ChunkWork) throws {
            var work = work
            guard inPlace else { return try work.cipher.seal(work.buffer, into: &body) }
            try work.cipher.seal(&work.buffer)
            body.writeBuffer(&work.buffer)
        }
        while plaintext.readableBytes > 0 {
            if inPlace {
                sealer.append(&plaintext)
            } else {
                let room = sealer.room
                sealer.write { buffer in
                    if var piece = plaintext.readSlice(length: min(room, plaintext.readableBytes)) {
                        buffer.writeBuffer(&piece)
                    }
                }
            }
            if let work = try sealer.takeFull() { try seal(work) }
        }
        try seal(try sealer.finish())
        return Array(body.readableBytesView)
    }

    private static func open(
        _ body: [UInt8], _ keys: AttemptKeys, _ length: Int, inPlace: Bool
    ) -> (plaintext: [UInt8], isCut: Bool) {
        var opener = ChunkOpener(of: keys)
        var plaintext = ByteBuffer()
        func open(_ work: ChunkWork) throws {
            var work = work
            guard inPlace else { return try work.cipher.open(work.buffer, into: &plaintext) }
            try work.cipher.open(&work.buffer)
            plaintext.writeBuffer(&work.buffer)
        }
        do {
            var rest = ByteBuffer(bytes: body)
            while var piece = rest.readSlice(length: min(length, rest.readableBytes)), piece.readableBytes > 0 {
                while piece.readableBytes > 0 {
                    if let work = try opener.append(&piece) { try open(work) }
                }
            }
            try open(try opener.finish())
        } catch {
            return (Array(plaintext.readableBytesView), true)
        }
        return (Array(plaintext.readableBytesView), false)
    }

    /// Numbers near the last, and behind the end.
    private static func numbers(_ offset: Int, _ keys: AttemptKeys) throws {
        var numbers = ChunkNumbers(content: keys.content, first: .max - UInt64(offset % 3))
        for _ in 0..<(offset % 3) { _ = try numbers.next(plaintext: Chunk.plaintextLength) }
        try hold((try? numbers.next(plaintext: 0)) == nil, "a chunk behind the last number")
        var ended = ChunkNumbers(content: keys.content, first: Chunk.chunksOfKey - 1)
        _ = try ended.next(plaintext: Chunk.plaintextLength)
        _ = try ended.next(plaintext: offset % Chunk.plaintextLength)
        try hold(ended.isComplete && (try? ended.next(plaintext: 0)) == nil, "a chunk behind the last")
        try hold(Chunk.bodyLength(of: .max) == nil, "a body longer than 64 bits")
    }
}

/// Where, and how, sealed bytes are damaged.
struct Damage {
    private let place: Int
    private let kind: UInt8
    private let value: UInt8

    init(_ reader: inout InputReader) {
        (kind, value) = (reader.byte(), reader.byte())
        place = reader.short() << 4 | Int(value & 15)
    }

    /// The pieces in which what is damaged comes.
    var piece: Int { [1_000, 65_553, 100_000][Int(kind >> 4) % 3] }

    /// Whether anything changes.
    func damages(_ bytes: [UInt8]) -> Bool { of(bytes) != bytes }

    func of(_ bytes: [UInt8]) -> [UInt8] {
        guard !bytes.isEmpty else { return bytes }
        var damaged = bytes
        // From the front, or from the end, where the tags are.
        let index = kind & 8 == 0 ? place % bytes.count : bytes.count - 1 - place % bytes.count
        switch kind & 3 {
        case 0: damaged[index] ^= max(value, 1)
        case 1: damaged.removeSubrange(index...)
        case 2: damaged.insert(value, at: index)
        default: damaged.append(contentsOf: bytes.suffix(Int(value)))
        }
        return damaged
    }
}
