// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import Sealing

@Suite struct ManifestTests {
    private let attempt: Attempt

    init() throws { attempt = try Attempt() }

    private static func folder(_ name: String, in parent: UInt32? = nil) throws -> ManifestEntry {
        ManifestEntry(.folder, name: try StreamFixture.name(name), parent: parent)
    }

    private static func file(_ name: String, in parent: UInt32? = nil, size: UInt64? = 0) throws -> ManifestEntry {
        ManifestEntry(.file(size: size), name: try StreamFixture.name(name), parent: parent)
    }

    /// What both sides say to a list of entries.
    private func fault(_ entries: [ManifestEntry]) throws -> ManifestFault? {
        var encoder = ManifestEncoder()
        var ignored = ByteBuffer()
        var written: ManifestFault?
        for entry in entries where written == nil {
            do { try encoder.write(entry, into: &ignored) } catch {
                if case .manifest(let fault) = error { written = fault }
            }
        }
        let records = entries.flatMap { StreamEncoder.record($0.record, $0.body ?? []) }
        let read = try fault(reading: [1] + records)
        #expect(written == read)
        return read
    }

    private func fault(
        reading bytes: [UInt8], entries: UInt64? = nil, size: UInt64? = nil
    ) throws -> ManifestFault? {
        let expectation = StreamFixture.expectation(of: attempt, entries: entries, bytes: size)
        do { _ = try StreamFixture.read(bytes, expectation) } catch SealingError.manifest(let fault) {
            #expect(SealingError.manifest(fault).code == .protocolError)
            return fault
        } catch {}
        return nil
    }

    // MARK: - Order and names

    @Test func refusesTwoEqualNamesInAFolder() throws {
        let (a, b) = (Array("a".utf8), Array("b".utf8))
        #expect(try fault([Self.file("a"), Self.file("a")]) == .order(entry: 1, a))
        #expect(try fault([Self.folder("a"), Self.file("a")]) == .order(entry: 1, a))
        #expect(try fault([Self.folder("a"), Self.file("b", in: 0), Self.file("b", in: 0)]) == .order(entry: 2, b))
        #expect(try fault([Self.folder("a"), Self.file("a", in: 0), Self.file("b")]) == nil)
        // Names that a person cannot tell apart are still two.
        #expect(try fault([Self.file("e\u{301}"), Self.file("\u{E9}")]) == nil)
        #expect(try fault([Self.file("A"), Self.file("a")]) == nil)
    }

    @Test func refusesEntriesThatAreNotInOrder() throws {
        #expect(try fault([Self.file("b"), Self.file("a")]) == .order(entry: 1, Array("a".utf8)))
        // Back into a folder that was left.
        let back = try [Self.folder("a"), Self.file("b"), Self.file("c", in: 0)]
        #expect(try fault(back) == .parent(entry: 2))
    }

    @Test func refusesParentsThatAreNone() throws {
        #expect(try fault([Self.file("a", in: 0)]) == .parent(entry: 0))
        #expect(try fault([Self.file("a"), Self.file("b", in: 0)]) == .parent(entry: 1))
        #expect(try fault([Self.folder("a", in: 0)]) == .parent(entry: 0))
        #expect(try fault([Self.folder("a"), Self.file("b", in: 5)]) == .parent(entry: 1))
        #expect(try fault([Self.folder("a"), Self.file("b", in: .max - 1)]) == .parent(entry: 1))
    }

    @Test func takesAsManyFoldersAsThereMayBeAndNoMore() throws {
        let deep = try (0..<1_024).map { try Self.folder("d", in: $0 == 0 ? nil : UInt32($0 - 1)) }
        #expect(try fault(deep + [Self.file("f", in: 1_023)]) == nil)
        #expect(try fault(deep + [Self.folder("d", in: 1_023)]) == .depth(entry: 1_024))
        // Ten thousand components.
        let abyss = try (0..<10_000).map { try Self.folder("d", in: $0 == 0 ? nil : UInt32($0 - 1)) }
        #expect(try fault(abyss) == .depth(entry: 1_024))
    }

    @Test(
        arguments: [
            ("", .empty), (".", .dots), ("..", .dots), ("/etc/passwd", .slash), ("a/b", .slash), ("../a", .slash),
            ("a\0", .nul), ("\0", .nul), (String(repeating: "x", count: 256), .tooLong(256)),
        ] as [(String, NameFault)])
    func refusesNamesThatAreNone(_ name: String, _ expected: NameFault) throws {
        let bytes = Array(name.utf8)
        #expect(throws: expected) { try EntryName(bytes) }
        let stream = [1] + Self.record(name: bytes)
        let fault = try fault(reading: stream)
        #expect(fault == .name(entry: 0, Array(bytes.prefix(255)), expected))
        #expect(fault?.description.contains(expected.description) == true)
    }

    @Test(arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0x61, 0xE9]] as [[UInt8]])
    func refusesNamesThatAreNotText(_ bytes: [UInt8]) throws {
        #expect(try fault(reading: [1] + Self.record(name: bytes)) == .name(entry: 0, bytes, .notText))
    }

    @Test func showsNamesWithoutWhatTurnsATerminal() {
        let fault = ManifestFault.order(entry: 1, Array("a\u{1B}[2J\u{202E}\nb".utf8))
        #expect(fault.description.contains(#""a\u{1b}[2J\u{202e}\u{a}b""#))
    }

    @Test func takesNamesThatOnlyLookWrong() throws {
        for name in ["...", "..a", " ", "-rf", "a\n", "\\", "C:", String(repeating: "x", count: 255)] {
            #expect(try fault([Self.file(name)]) == nil)
        }
    }

    // MARK: - Records

    /// A record of a folder with that name, and with some of its fields altered.
    private static func record(
        kind: UInt8 = 1, flags: UInt8 = 0, mode: [UInt8] = [0, 0], nanoseconds: [UInt8] = [0, 0, 0, 0],
        name: [UInt8] = [0x61], rest: [UInt8] = []
    ) -> [UInt8] {
        var body = FieldWriter()
        body.raw([flags] + mode + [UInt8](repeating: 0, count: 8) + nanoseconds + [0, 0, 0, 0])
        body.short(name)
        body.raw(rest)
        var record = FieldWriter()
        record.integer(kind)
        record.long(body.bytes)
        return record.bytes
    }

    @Test func refusesFieldsThatAreNone() throws {
        let size: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1]
        for (name, record) in [
            ("an unknown flag", Self.record(flags: 2)), ("permissions without the flag", Self.record(mode: [1, 0])),
            ("set-user-ID", Self.record(flags: 1, mode: [0x09, 0xFF])),
            ("a second of nanoseconds", Self.record(nanoseconds: [0x3B, 0x9A, 0xCA, 0x00])),
            ("more than a folder has", Self.record(rest: [0])), ("a file without a size", Self.record(kind: 2)),
            ("half a size", Self.record(kind: 2, rest: [0, 0, 0, 0])),
            ("more than a file has", Self.record(kind: 2, rest: size + [0])),
            ("a link without a target", Self.record(kind: 3)),
            ("a link to nothing", Self.record(kind: 3, rest: [0, 0])),
            ("a link with a zero byte", Self.record(kind: 3, rest: [0, 1, 0])),
            ("a long link", Self.record(kind: 3, rest: [0x10, 0x00] + [UInt8](repeating: 1, count: 4_096))),
            ("nothing", [1, 0, 0, 0, 0]),
        ] {
            #expect(try fault(reading: [1] + record) == .fields(entry: 0), "\(name)")
        }
        #expect(try fault(reading: [1] + Self.record(flags: 1, mode: [0x01, 0xFF])) == nil)
    }

    @Test func writesNoFieldsThatAreNone() throws {
        var encoder = ManifestEncoder()
        var buffer = ByteBuffer()
        let name = try StreamFixture.name("a")
        for entry in [
            ManifestEntry(.folder, name: name, mode: 0o1000), ManifestEntry(.folder, name: name, nanoseconds: .max),
            ManifestEntry(.file(size: .max), name: name), ManifestEntry(.link(target: []), name: name),
            ManifestEntry(.folder, name: name, parent: .max),
        ] {
            #expect(throws: SealingError.manifest(.fields(entry: 0))) { try encoder.write(entry, into: &buffer) }
        }
        #expect(buffer.readableBytes == 0 && encoder.entries == 0)
    }

    @Test func refusesLongRecordsBeforeTheyAreThere() throws {
        #expect(try fault(reading: [1, 1, 0, 1, 0, 1]) == .longRecord(65_537))
        #expect(try fault(reading: [1, 2, 255, 255, 255, 255]) == .longRecord(.max))
        for kind in [0, 4, 7, 9, 16, 17, 18, 19, 20, 24, 255] as [UInt8] {
            #expect(try fault(reading: [1, kind, 0, 0, 0, 0]) == .kind(kind))
        }
    }

    // MARK: - Counts, digest, signature

    @Test func refusesCountsThatLie() throws {
        let entries = try [Self.file("a", size: 3), Self.file("b", size: 4)]
        let stream = try StreamFixture.manifest(entries, in: attempt).bytes
        #expect(try fault(reading: stream, entries: 2, size: 7) == nil)
        #expect(try fault(reading: stream, entries: 1) == .tooMany)
        #expect(try fault(reading: stream, entries: 3) == .counts)
        #expect(try fault(reading: stream, size: 6) == .counts)
        #expect(try fault(reading: stream, size: 8) == .counts)
        // What is too much is refused at once, and not at the end.
        let first = try [1] + StreamEncoder.record(.file, #require(entries[0].body))
        #expect(try fault(reading: first, entries: 0) == .tooMany)
        #expect(try fault(reading: first, size: 2) == .counts)
        let unknown = try StreamFixture.manifest([Self.file("a", size: nil)], in: attempt).bytes
        #expect(try fault(reading: unknown, size: 0) == .counts)
        #expect(try fault([Self.file("a", size: .max - 1), Self.file("b", size: 2)]) == .counts)
    }

    /// Of more than eight, a summary names the first eight; who has asked knows them all.
    @Test func hasAllNamesThatWereAskedForAndNoOthers() throws {
        let names = (10..<20).map(String.init)
        func fault(_ came: [String]) throws -> ManifestFault? {
            let stream = try StreamFixture.manifest(came.map { try Self.file($0) }, in: attempt).bytes
            let summary = OfferSummary(names: Array(names.prefix(8)), kind: .several)
            let expectation = StreamExpectation(
                form: .manifest, transfer: attempt.transfer, sender: attempt.alice.party.identity, entries: nil,
                bytes: nil, summary: summary, names: try names.map { try StreamFixture.name($0) }, digest: nil
            )
            do { _ = try StreamFixture.read(stream, expectation) } catch SealingError.manifest(let fault) {
                return fault
            } catch {}
            return nil
        }
        #expect(try fault(names) == nil)
        #expect(try fault(names + ["x"]) == .announced(entry: 10, Array("x".utf8)))
        #expect(try fault(names.dropLast() + ["x"]) == .announced(entry: 9, Array("x".utf8)))
        #expect(try fault(names.filter { $0 != "18" }) == .announced(entry: 8, Array("19".utf8)))
        #expect(try fault(names.dropLast()) == .counts)
    }

    @Test func isBoundToTransferAndSender() throws {
        let stream = try StreamFixture.manifest([Self.file("a")], in: attempt).bytes
        let other = try Attempt(1, transfer: 8)
        #expect(throws: SealingError.manifest(.signature)) {
            try StreamFixture.read(stream, StreamFixture.expectation(of: other))
        }
        let expectation = StreamExpectation(
            form: .manifest, transfer: attempt.transfer, sender: try Person("alice", 3).party.identity, entries: nil,
            bytes: nil, digest: nil
        )
        #expect(throws: SealingError.manifest(.signature)) { try StreamFixture.read(stream, expectation) }
    }

    @Test func isRefusedWithAnyByteOfItsEndAltered() throws {
        let stream = try StreamFixture.manifest([Self.file("a")], in: attempt).bytes
        for index in (stream.count - 96)..<stream.count {
            var altered = stream
            altered[index] ^= 0x10
            #expect(try fault(reading: altered) == (index < stream.count - 64 ? .digest : .signature))
        }
        #expect(try fault(reading: Array(stream.dropLast(101)) + [8, 0, 0, 0, 0]) == .digest)
    }

    @Test func isRefusedCutAnywhere() throws {
        let entries = try [Self.folder("a"), Self.file("b", in: 0, size: 3)]
        let stream = try StreamFixture.manifest(entries, in: attempt).bytes
        for length in 0..<stream.count {
            for pieces in [[Int.max], [1]] {
                #expect(throws: SealingError.content(.missingFiles)) {
                    try StreamFixture.read(
                        Array(stream.prefix(length)), StreamFixture.expectation(of: attempt), pieces: pieces
                    )
                }
            }
        }
    }

    @Test func countsWhatItWrites() throws {
        var encoder = ManifestEncoder()
        var buffer = ByteBuffer()
        for entry in try [Self.folder("a"), Self.file("b", in: 0, size: 3), Self.file("c", size: 4)] {
            try encoder.write(entry, into: &buffer)
        }
        #expect((encoder.entries, encoder.files, encoder.bytes) == (3, 2, 7))
        try encoder.write(Self.file("d", size: nil), into: &buffer)
        #expect(encoder.bytes == nil)
    }
}
