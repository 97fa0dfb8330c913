// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import WSProtocol

/// Numbers are big-endian; a string of bytes has its length before it, in 32 bits.
extension JournalRecord {
    /// What a record is, in its head.
    enum Kind: UInt8, CaseIterable {
        case begin = 1
        case run = 2
        case manifest = 3
        case wanted = 4
        case position = 5
        case fileEnd = 6
        case placing = 7
        case place = 8
        case finished = 9
    }

    var kind: Kind {
        switch self {
        case .begin: .begin
        case .run: .run
        case .manifest: .manifest
        case .wanted: .wanted
        case .position: .position
        case .fileEnd: .fileEnd
        case .placing: .placing
        case .place: .place
        case .finished: .finished
        }
    }

    /// Its body; nil when it is longer than one can be.
    var body: ByteBuffer? {
        var body = ByteBuffer()
        switch self {
        case .begin(let beginning): beginning.write(into: &body)
        case .run(let boot): body.writeString(of: boot)
        case .manifest(let manifest):
            body.writeString(of: manifest.digest)
            body.writeMultipleIntegers(manifest.length, manifest.entries, manifest.files)
            body.writeFlag(manifest.isMadeInAdvance)
        case .wanted(let runs, let isLast):
            body.writeFlag(isLast)
            for run in runs { body.writeMultipleIntegers(run.skip, run.take) }
        case .position(let position, let bytes):
            body.writeMultipleIntegers(position.file, position.offset, bytes)
        case .fileEnd(let file, let size): body.writeMultipleIntegers(file, size)
        case .placing(let totals): body.writeMultipleIntegers(totals.entries, totals.files, totals.bytes)
        case .place(let place):
            body.writeMultipleIntegers(place.entry, place.device, place.inode, place.format)
            body.writeString(of: Array(place.name.utf8))
        case .finished: break
        }
        return body.readableBytes <= JournalCoding.longestBody ? body : nil
    }

    /// Reads a body; nil when it is not one of that kind, to its last byte.
    init?(_ kind: Kind, body: ByteBuffer) {
        var body = body
        guard let record = Self.read(kind, &body), body.readableBytes == 0 else { return nil }
        self = record
    }

    private static func read(_ kind: Kind, _ body: inout ByteBuffer) -> JournalRecord? {
        switch kind {
        case .begin: return JournalBeginning(&body).map { .begin($0) }
        case .run: return body.readString().map { .run(boot: $0) }
        case .manifest:
            guard let digest = body.readString(),
                let (length, entries, files) = body.readMultipleIntegers(as: (UInt64, UInt64, UInt64).self),
                let isMadeInAdvance = body.readFlag()
            else { return nil }
            let manifest = JournalManifest(
                digest: digest, length: length, entries: entries, files: files, isMadeInAdvance: isMadeInAdvance
            )
            return .manifest(manifest)
        case .wanted:
            guard let isLast = body.readFlag() else { return nil }
            var runs: [WantedRun] = []
            while let (skip, take) = body.readMultipleIntegers(as: (UInt32, UInt32).self) {
                runs.append(WantedRun(skip: skip, take: take))
            }
            return .wanted(runs, isLast: isLast)
        case .position:
            return body.readMultipleIntegers(as: (UInt64, UInt64, UInt64).self).map { file, offset, bytes in
                .position(TransferPosition(file: file, offset: offset), bytes: bytes)
            }
        case .fileEnd:
            return body.readMultipleIntegers(as: (UInt64, UInt64).self).map { file, size in
                .fileEnd(file: file, size: size)
            }
        case .placing:
            return body.readMultipleIntegers(as: (UInt64, UInt64, UInt64).self).map { entries, files, bytes in
                .placing(JournalTotals(entries: entries, files: files, bytes: bytes))
            }
        case .place:
            guard
                let (entry, device, inode, format) = body.readMultipleIntegers(
                    as: (UInt32, UInt64, UInt64, UInt32).self
                ), let name = body.readText()
            else { return nil }
            return .place(JournalPlace(entry: entry, name: name, device: device, inode: inode, format: format))
        case .finished: return .finished
        }
    }
}

extension JournalBeginning {
    func write(into body: inout ByteBuffer) {
        body.writeString(of: transfer.bytes)
        for party in [sender, receiver] {
            body.writeString(of: Array(party.name.rawValue.utf8))
            body.writeString(of: party.identity.bytes)
        }
        body.writeInteger(since)
        body.writeFlag(keepsMetadata)
        body.writeInteger(existing.rawValue)
        body.writeString(of: (try? StrictJSON.encode(summary)).map { Array($0.utf8) } ?? [])
    }

    init?(_ body: inout ByteBuffer) {
        guard let transfer = body.readString().flatMap({ CarriedTransfer(bytes: $0) }),
            let sender = Self.readParty(&body), let receiver = Self.readParty(&body),
            let since = body.readInteger(as: UInt64.self), let keepsMetadata = body.readFlag(),
            let existing = body.readInteger(as: UInt8.self).flatMap(ExistingRule.init(rawValue:)),
            let json = body.readString(),
            let summary = StrictJSON.decode(OfferSummary.self, from: json)
        else { return nil }
        self.init(
            transfer: transfer, sender: sender, receiver: receiver, summary: summary, since: since,
            keepsMetadata: keepsMetadata, existing: existing
        )
    }

    private static func readParty(_ body: inout ByteBuffer) -> Party? {
        guard let name = body.readText().flatMap(PeerName.init(rawValue:)),
            let identity = body.readString().flatMap({ SigningKey(bytes: $0) })
        else { return nil }
        return Party(name: name, identity: identity)
    }
}

extension ByteBuffer {
    fileprivate mutating func writeFlag(_ flag: Bool) { writeInteger(UInt8(flag ? 1 : 0)) }

    fileprivate mutating func readFlag() -> Bool? {
        guard let byte = readInteger(as: UInt8.self), byte <= 1 else { return nil }
        return byte == 1
    }

    fileprivate mutating func writeString(of bytes: [UInt8]) {
        writeInteger(UInt32(clamping: bytes.count))
        writeBytes(bytes)
    }

    fileprivate mutating func readString() -> [UInt8]? {
        readInteger(as: UInt32.self).flatMap { length in readBytes(length: Int(length)) }
    }

    fileprivate mutating func readText() -> String? {
        readString().flatMap { bytes in String(validating: bytes, as: UTF8.self) }
    }
}
