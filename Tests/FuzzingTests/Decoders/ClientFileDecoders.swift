// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import NIOCore
import Sealing
import TestSupport
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// What a client keeps in files, and finds there later: damaged, cut, or written by someone else.
enum ClientFileDecoders {
    /// The journal of a transfer. No input comes upon a good check by itself, so records are given theirs.
    static let journal = FuzzedDecoder(
        "journal", longest: 4_000, of: .records(lengthBytes: 2, prefix: .damage),
        sources: [
            "TransferClient/Journal/JournalCoding.swift", "TransferClient/Journal/JournalRecord+Coding.swift",
            "TransferClient/Journal/JournalReplay.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        let choice = reader.byte()
        let damage = choice & 1 == 0 ? nil : Damage(&reader)
        let rest = Array(reader.rest)
        let written = choice & 2 == 0 ? checked(rest) : rest
        let bytes = damage?.of(written) ?? written
        let replay = try Pieces.same(bytes, "a journal") { pieces in
            var replay = JournalReplay()
            for piece in pieces { replay.append(piece) }
            return Replayed(state: replay.state, length: replay.length)
        }
        guard let replay else { return }
        try hold(replay.length <= UInt64(bytes.count), "\(replay.length) good bytes of \(bytes.count)")
        try hold(replay.state == nil || replay.length > 16, "a state of no record")
        _ = replay.state?.isReady
        // What was read is the same when it is written again, and when it goes on.
        let records = read(bytes)
        if let first = records.first {
            var whole = JournalReader()
            whole.append(ByteBuffer(bytes: bytes))
            while whole.next() != nil {}
            var behind = whole.writer
            let more = Array(bytes.prefix(Int(whole.length))) + (behind.encode(first) ?? [])
            try hold(read(more) == records + [first], "\(read(more)) with one more than \(records)")
            var states = JournalReplay()
            states.append(ByteBuffer(bytes: bytes))
            _ = states.writer
        }
        var writer = JournalWriter()
        var again = JournalCoding.firstLine
        for record in records {
            guard let encoded = writer.encode(record) else { throw Broken(description: "\(record) is too long") }
            again += encoded
        }
        try hold(read(again) == records, "\(records) are \(read(again)) when they are read again")
    }

    private struct Replayed: Equatable {
        var state: JournalState?
        var length: UInt64
    }

    /// Records, each `kind ‖ u16 length ‖ body`, as a journal has them.
    private static func checked(_ bytes: [UInt8]) -> [UInt8] {
        var reader = InputReader(bytes)
        var journal = JournalCoding.firstLine
        var check = journal
        while !reader.rest.isEmpty {
            let kind = reader.byte()
            let body = reader.bytes(reader.short())
            var record = ByteBuffer()
            record.writeMultipleIntegers(UInt32(body.count), kind)
            record.writeBytes(body)
            check = JournalCoding.check(Array(record.readableBytesView), after: check)
            journal += Array(record.readableBytesView) + check
        }
        return journal
    }

    private static func read(_ bytes: [UInt8]) -> [JournalRecord] {
        var reader = JournalReader()
        reader.append(ByteBuffer(bytes: bytes))
        var records: [JournalRecord] = []
        while let record = reader.next() { records.append(record) }
        return records
    }

    static let profile = FuzzedDecoder(
        "profile", longest: 4_000, of: .lines,
        sources: [
            "RelayClientProgram/Profile/DayCounts.swift", "RelayClientProgram/Profile/KnownPeers.swift",
            "RelayClientProgram/Profile/PolicyLine.swift", "RelayClientProgram/Profile/SenderPolicies.swift",
            "RelayClientProgram/Profile/TransferRecord+Coding.swift", "TransferClient/Session/DayCount.swift",
            "TransferClient/Content/FileCommand.swift",
        ]
    ) { input in
        let content = Data(input.dropFirst())
        switch (input.first ?? 0) % 8 {
        case 0: try peers(content)
        case 1: try policies(content)
        case 2: try counts(content)
        case 3: try record(content)
        case 4: try keys(content)
        case 5: try folder(content, "profile.json") { _ = try Profile.load(directory: $0) }
        case 6: try folder(content, "attempts") { _ = try AttemptStore($0).hasTaken(try offer(), now: now) }
        default:
            try folder(content, "prekeys") { path in
                guard let name = PeerName(rawValue: "bob") else { return }
                _ = try PrekeyStore(path).renewed(name: name, now: now)
            }
        }
    }

    private static let now: UInt64 = 1_795_867_200_000

    private static func peers(_ content: Data) throws {
        guard let peers = try? KnownPeers(content) else { return }
        try hold((try? KnownPeers(peers.encoded)) == peers, "\(peers) change")
        for var peer in peers.all {
            _ = (peer.pin.key, peer.pin.fingerprint)
            guard let key = peer.pin.key else { continue }
            peer = KnownPeer(name: peer.name, pin: peer.pin)
            var met = peers
            try hold(peer.pin.isOf(key), "\(peer) is not itself")
            _ = try? met.met(Party(name: peer.name, identity: key), now: now).check()
            if let other = SigningKey(rawValue: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") {
                _ = try? met.met(Party(name: peer.name, identity: other), now: now).check()
                met[peer.name] = nil
                _ = try met.met(Party(name: peer.name, identity: other), now: now).check()
            }
        }
    }

    private static func policies(_ content: Data) throws {
        guard let policies = try? SenderPolicies(content) else { return }
        try hold((try? SenderPolicies(policies.encoded)) == policies, "\(policies) change")
        for (name, policy) in policies.all {
            var others = policies
            others[name] = nil
            try hold(others[name] == nil && others.count == policies.count - 1, "a policy that stays")
            guard let command = policy.command else { continue }
            let words = command.arguments([.file: "/in/$x; \"y\""])
            try hold(!words.isEmpty && command.arguments([:]).first == command.program, "\(command) has no program")
        }
    }

    private static func counts(_ content: Data) throws {
        guard var counts = try? DayCounts(content) else { return }
        try hold((try? DayCounts(counts.encoded)) == counts, "\(counts) change")
        guard let name = PeerName(rawValue: "bob"), let transfer = CarriedTransfer(bytes: UInt8(0)..<16) else { return }
        for day in ["2026-06-01", "2026-06-02"] {
            var count = counts.count(of: name, day: day)
            let before = count.bytes
            if let taken = count.reserve(transfer, needed: nil, limit: .max, most: 1_000) {
                try hold(count.bytes >= before && taken <= 1_000, "\(taken) bytes of \(before)")
            }
            _ = count.reserve(transfer, needed: 5, limit: 100, most: nil)
            count.settle(transfer, bytes: .max, needed: 3)
            counts.set(count, of: name)
        }
        var many = counts.count(of: name, day: "2026-06-03")
        // Once is enough: that takes long.
        for number in 0..<(content.isEmpty ? 300 : 0) {
            let bytes = [UInt8](repeating: 0, count: 14) + [UInt8(number >> 8), UInt8(number & 0xFF)]
            guard let other = CarriedTransfer(bytes: bytes) else { continue }
            _ = many.reserve(other, needed: 1, limit: .max, most: nil)
        }
        try hold(many.open.count <= TransferDefaults.mostOpenCounts, "\(many.open.count) open transfers of \(many.day)")
        counts.keepOnly(day: "2026-06-02")
        try hold((try? DayCounts(counts.encoded)) == counts, "\(counts) change")
    }

    private static func record(_ content: Data) throws {
        guard let (record, touched) = TransferRecord.decode(content) else { return }
        guard let again = record.encoded(touched: touched) else { return }
        let second = TransferRecord.decode(again)
        try hold(second?.record == record && second?.touched == touched, "\(record) changes")
        _ = (record.transfer, record.peer)
    }

    private static func keys(_ content: Data) throws {
        guard let keys = ProfileKeys(encoded: content) else { return }
        let again = ProfileKeys(encoded: try keys.encoded())
        try hold(
            again?.signing.rawRepresentation == keys.signing.rawRepresentation, "a key that changes")
    }

    /// Opens a profile in which one file has this content.
    private static func folder(_ content: Data, _ name: String, _ open: (String) throws -> Void) throws {
        let folder = try TemporaryDirectory()
        let keys = Data(#"{"signing":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","v":1}"#.utf8)
        try folder.write(keys, to: "keys.json")
        try folder.write(content, to: name)
        try? open(folder.path)
    }

    private static func offer() throws -> AttemptID {
        guard let attempt = AttemptID(bytes: UInt8(0)..<16) else { throw Broken(description: "no attempt") }
        return attempt
    }
}
