// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Sealing

struct WrittenManifestTests {
    private let attempt: Attempt

    init() throws { attempt = try Attempt() }

    /// What is kept is what is sent.
    @Test(arguments: 0..<50)
    func itIsKeptAsItIsSent(_ seed: UInt64) throws {
        let tree = try RandomTree(seed: seed)
        var manifest = WrittenManifest()
        for entry in tree.entries { try manifest.append(entry) }
        try expect(manifest, holds: tree.entries)
    }

    /// In more pieces than one, with the longest records there are.
    @Test func itGrowsInPieces() throws {
        let entries = try (0..<1_000).map { number in
            let digits = String(number + 1_000)
            let name = try EntryName(Array(digits.utf8) + [UInt8](repeating: 120, count: 251))
            return ManifestEntry(.link(target: [UInt8](repeating: 121, count: number * 4 + 1)), name: name)
        }
        var manifest = WrittenManifest()
        for entry in entries { try manifest.append(entry) }
        #expect(manifest.pieces.count > 5)
        try expect(manifest, holds: entries)
    }

    @Test func whatIsRefusedIsNotKept() throws {
        let name = try StreamFixture.name("a")
        var manifest = WrittenManifest()
        try manifest.append(ManifestEntry(.file(size: 1), name: name))
        let digest = manifest.digest
        #expect(throws: SealingError.self) { try manifest.append(ManifestEntry(.folder, name: name)) }
        #expect(manifest.entries == 1)
        #expect(manifest.digest == digest)
        try expect(manifest, holds: [ManifestEntry(.file(size: 1), name: name)])
    }

    private func expect(_ manifest: WrittenManifest, holds entries: [ManifestEntry]) throws {
        let (bytes, digest) = try StreamFixture.manifest(entries, in: attempt)
        var stream = ByteBuffer()
        StreamEncoder.writeManifestForm(into: &stream)
        for piece in manifest.pieces { stream.writeImmutableBuffer(piece) }
        let signature = 64
        try manifest.writeEnd(of: attempt.transfer, signedBy: attempt.alice.identity, into: &stream)
        #expect(Array(stream.readableBytesView.dropLast(signature)) == Array(bytes.dropLast(signature)))
        #expect(manifest.digest == digest)
        #expect(manifest.streamLength == UInt64(bytes.count))
        #expect(manifest.entries == UInt64(entries.count))
        var cursor = WrittenManifest.Cursor()
        for (number, entry) in entries.enumerated() {
            let outline = try #require(manifest.next(&cursor))
            #expect(outline.number == UInt32(number))
            #expect(outline.parent == entry.parent)
            #expect(outline.name.elementsEqual(entry.name.bytes))
            switch entry.kind {
            case .folder: #expect(outline.kind == .folder)
            case .link: #expect(outline.kind == .link)
            case .file(let size): #expect(outline.kind == .file(size: size))
            }
        }
        #expect(manifest.next(&cursor) == nil)
    }
}
