// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Glibc
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
            "TransferClient/Journal/JournalReplay.swift", "RelayClientProgram/Files/JournalFile.swift",
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
        try kept(bytes, replay, records)
    }

    /// The same in a file, which goes on behind what is good, and begins again.
    private static func kept(_ bytes: [UInt8], _ replayed: Replayed, _ records: [JournalRecord]) throws {
        let file = try OpenFile.holding(bytes)
        let replay = try JournalFile.replay(file)
        try hold(Replayed(state: replay.state, length: replay.length) == replayed, "a journal is read in two ways")
        _ = SystemBoot.current.isSame(as: bytes)
        // Records that have no place where they stand are cut off.
        let good = read(Array(bytes.prefix(Int(replay.length))))
        guard replay.state != nil, let first = good.first, records.starts(with: good) else { return }
        var journal = try JournalFile(file, goingOn: replay, calls: FileCalls())
        try journal.append(first)
        try journal.sync()
        try hold(read(try file.content()) == good + [first], "one record more is another journal")
        journal = try JournalFile(beginning: file, calls: FileCalls())
        try journal.append(first)
        try hold(read(try file.content()) == [first], "a journal does not begin again")
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
            "TransferClient/Content/FileCommand.swift", "RelayClientProgram/Profile/AttemptStore.swift",
            "RelayClientProgram/Profile/PrekeyStore.swift", "RelayClientProgram/Profile/Profile.swift",
            "RelayClientProgram/Profile/Identity.swift#ProfileKeys",
        ]
    ) { input in
        let content = Data(input.dropFirst())
        switch (input.first ?? 0) % 8 {
        case 0: try peers(content)
        case 1: try policies(content)
        case 2: try counts(content)
        case 3: try record(content)
        case 4:
            try keys(content)
            try folder(content, "keys.json", profile)
        case 5: try folder(content, "profile.json", profile)
        case 6: try folder(content, "attempts") { try attempts(content, $0) }
        default: try folder(content, "prekeys", prekeys)
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
        try folder.write(Data(#"{"name":"bob","server":"https://relay.example.com","v":1}"#.utf8), to: "profile.json")
        try folder.write(content, to: name)
        do { try open(folder.path) } catch is FileError {}
        withExtendedLifetime(folder) {}
    }

    private static func profile(_ path: String) throws {
        let read: Profile
        do {
            read = try Profile.load(directory: path)
        } catch {
            // Nothing is written over what is damaged.
            func files() -> [Data?] {
                ["profile.json", "keys.json"].map { FileManager.default.contents(atPath: path + "/" + $0) }
            }
            let before = files()
            if let bob = PeerName(rawValue: "bob") {
                _ = try? Profile.create(directory: path, name: bob, server: "https://relay.example.com", caPath: path)
            }
            try hold(files() == before, "a damaged profile is another one")
            throw error
        }
        try read.save()
        let again = try Profile.load(directory: path)
        try hold("\(again)" == "\(read)" && again.caPath == read.caPath, "\(read) is \(again) when it is read again")
        let made = try Profile.create(directory: path, name: read.name, server: read.server, caPath: path)
        try hold(made.fingerprint == read.fingerprint && made.fingerprint != nil, "another key of \(read)")
        try FileManager.default.removeItem(atPath: path + "/keys.json")
        try hold((try? Profile.load(directory: path)) == nil, "a profile without keys")
        for environment in [[:], ["HOME": path], ["XDG_CONFIG_HOME": path]] {
            let place = try? ProfileLocation.directory(environment: environment)
            try hold((place?.hasPrefix(path) ?? false) != environment.isEmpty, "a profile at \(place ?? "no place")")
        }
    }

    /// The list that keeps old offers out: what stands in it was taken, whatever stands around it, and what is taken is
    /// not taken again.
    private static func attempts(_ content: Data, _ path: String) throws {
        let (store, offer) = (AttemptStore(path), try Place().opened)
        let listed = content.split(separator: UInt8(ascii: "\n")).compactMap { line -> AttemptID? in
            let fields = String(decoding: line, as: UTF8.self).components(separatedBy: " ")
            guard fields.count == 2, let time = UInt64(fields[1]) else { return nil }
            return time > now || now - time < 86_400_000 ? AttemptID(rawValue: fields[0]) : nil
        }
        for attempt in listed { try hold(try store.hasTaken(attempt, now: now), "\(attempt) is not known") }
        let attempt = offer.parties.attempt
        let wasTaken = try store.hasTaken(attempt, now: now)
        try hold(try store.take(offer, now: now) != wasTaken, "\(attempt) was taken: \(wasTaken)")
        for attempt in listed + [attempt] {
            try hold(try store.hasTaken(attempt, now: now), "\(attempt) is forgotten")
        }
        try hold(try !store.take(offer, now: now), "\(attempt) is taken twice")
    }

    private static func prekeys(_ path: String) throws {
        guard let name = PeerName(rawValue: "bob") else { return }
        let store = PrekeyStore(path)
        let current = try? store.current(name: name, now: now)
        let renewed = try store.renewed(name: name, now: now)
        try hold(current == nil || current?.seed == renewed.seed, "good prekeys are given up")
        try hold(renewed.epoch == Epoch(milliseconds: now), "prekeys of \(renewed.epoch)")
        let again = try store.current(name: name, now: now)
        let isSame = again.seed == renewed.seed && again.previousSeed == renewed.previousSeed
        try hold(isSame && again.epoch == renewed.epoch, "prekeys that change")
    }
}

extension OpenFile {
    /// A file without a name that holds `bytes`.
    static func holding(_ bytes: [UInt8]) throws -> OpenFile {
        var path = Array((NSTemporaryDirectory() + "/relay-test-XXXXXX").utf8CString)
        let file = OpenFile(descriptor: mkstemp(&path))
        unlink(path)
        try FileCalls().writeAll(ByteBuffer(bytes: bytes), to: file.descriptor, at: 0)
        return file
    }

    /// All of it.
    func content() throws -> [UInt8] {
        var buffer = ByteBuffer()
        _ = try read(into: &buffer, atMost: Int(try status().st_size), at: 0)
        return Array(buffer.readableBytesView)
    }
}
