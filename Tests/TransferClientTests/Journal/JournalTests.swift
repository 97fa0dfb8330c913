// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import TransferClient

/// A journal on its way through a file that may be cut, altered and shuffled: what is read of it is what was written,
/// up to the first place where it is not.
struct JournalTests {
    static let beginning: JournalBeginning? = {
        guard let alice = PeerName(rawValue: "alice"), let bob = PeerName(rawValue: "bob"),
            let transfer = CarriedTransfer(bytes: [UInt8](repeating: 7, count: 16)),
            let first = SigningKey(
                rawValue: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            let second = SigningKey(rawValue: "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw")
        else { return nil }
        return JournalBeginning(
            transfer: transfer, sender: Party(name: alice, identity: first),
            receiver: Party(name: bob, identity: second),
            summary: OfferSummary(names: ["photos", "ü\n\""], entries: 5, bytes: 1_000, kind: .several),
            since: 1_700_000_000_000, keepsMetadata: true, existing: .skip
        )
    }()

    static var records: [JournalRecord] {
        get throws {
            let place = JournalPlace(entry: 4, name: "photos (1)", device: 5, inode: .max, format: 0o040000)
            return [
                .begin(try #require(beginning)), .run(boot: Array("boot".utf8)),
                .manifest(
                    JournalManifest(
                        digest: [UInt8](repeating: 9, count: 32), length: 300, entries: 5, files: 4,
                        isMadeInAdvance: false
                    )
                ),
                .wanted([WantedRun(skip: 1, take: 1)], isLast: false),
                .wanted([WantedRun(skip: 0, take: 1)], isLast: true),
                .position(TransferPosition(file: 1, offset: 77), bytes: 80), .fileEnd(file: 1, size: 99),
                .run(boot: []), .position(TransferPosition(file: 4, offset: 0), bytes: 1_000),
                .placing(JournalTotals(entries: 3, files: 2, bytes: 40)),
                .place(JournalPlace(entry: 4, name: "photos", device: 5, inode: .max, format: 0o040000)),
                .place(place), .finished, .run(boot: [1, 2]),
            ]
        }
    }

    private func encode(_ records: [JournalRecord]) throws -> (bytes: [UInt8], ends: [Int]) {
        var writer = JournalWriter()
        var bytes = JournalCoding.firstLine
        var ends: [Int] = []
        for record in records {
            let encoded = writer.encode(record)
            bytes += try #require(encoded)
            ends.append(bytes.count)
        }
        return (bytes, ends)
    }

    private func replayed(_ bytes: [UInt8], pieces: Int = .max) -> JournalReplay {
        var replay = JournalReplay()
        var rest = bytes[...]
        while !rest.isEmpty {
            replay.append(ByteBuffer(bytes: rest.prefix(pieces)))
            rest = rest.dropFirst(pieces)
        }
        return replay
    }

    @Test func everyRecordIsReadAsItWasWritten() throws {
        let records = try Self.records
        let (bytes, _) = try encode(records)
        for pieces in [1, 7, bytes.count] {
            var reader = JournalReader()
            var read: [JournalRecord] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                reader.append(ByteBuffer(bytes: rest.prefix(pieces)))
                rest = rest.dropFirst(pieces)
                while let record = reader.next() { read.append(record) }
            }
            #expect(read == records)
            #expect(reader.length == UInt64(bytes.count))
        }
        let kinds = Set(records.map(\.kind))
        #expect(kinds.count == JournalRecord.Kind.allCases.count)
    }

    @Test func theRuleForWhatIsThereIsOneOfThree() throws {
        let skipping = try #require(Self.beginning)
        for rule in ExistingRule.allCases {
            let beginning = JournalBeginning(
                transfer: skipping.transfer, sender: skipping.sender, receiver: skipping.receiver,
                summary: skipping.summary, since: skipping.since, keepsMetadata: true, existing: rule
            )
            #expect(replayed(try encode([.begin(beginning)]).0).state?.beginning == beginning)
        }
        var body = ByteBuffer()
        skipping.write(into: &body)
        var bytes = Array(body.readableBytesView)
        // Behind the two parties and the time, and another flag.
        let rule = try #require(bytes.firstRange(of: [1, 1, 0, 0])).lowerBound + 1
        for value: UInt8 in 0...255 {
            bytes[rule] = value
            var changed = ByteBuffer(bytes: bytes)
            #expect(JournalBeginning(&changed)?.existing == ExistingRule(rawValue: value))
        }
    }

    @Test func theStateIsWhatTheRecordsSay() throws {
        let (bytes, _) = try encode(try Self.records)
        let state = try #require(replayed(bytes).state)
        #expect(state.beginning == Self.beginning && state.boot == [1, 2] && state.isReady)
        #expect(state.wanted == [WantedRun(skip: 1, take: 1), WantedRun(skip: 0, take: 1)])
        #expect(state.position == TransferPosition(file: 4, offset: 0) && state.bytes == 1_000)
        #expect(state.sizes == [1: 99] && state.manifest?.files == 4)
        #expect(state.totals == JournalTotals(entries: 3, files: 2, bytes: 40) && state.isFinished)
        #expect(state.places.map(\.name) == ["photos (1)"])
    }

    /// The states after each record, and before the first.
    private func allStates() throws -> (bytes: [UInt8], ends: [Int], states: [JournalState?]) {
        let (bytes, ends) = try encode(try Self.records)
        let states: [JournalState?] = [nil] + ends.map { end in replayed(Array(bytes.prefix(end))).state }
        #expect(Set(states).count == ends.count + 1)
        return (bytes, ends, states)
    }

    @Test func aJournalCutAtAnyByteIsItsWholeRecords() throws {
        let (bytes, ends, states) = try allStates()
        for length in 0...bytes.count {
            let whole = ends.count { $0 <= length }
            for pieces in [3, .max] {
                let replay = replayed(Array(bytes.prefix(length)), pieces: pieces)
                #expect(replay.state == states[whole])
                let line = JournalCoding.firstLine.count
                #expect(replay.length == UInt64(whole > 0 ? ends[whole - 1] : length < line ? 0 : line))
            }
        }
    }

    @Test func aJournalAlteredAtAnyByteIsItsRecordsBefore() throws {
        let (bytes, ends, states) = try allStates()
        for index in bytes.indices {
            for change: UInt8 in [1, 0x80, 0xFF] {
                var altered = bytes
                altered[index] ^= change
                #expect(replayed(altered).state == states[ends.count { $0 <= index }])
            }
        }
    }

    /// What follows a cut is chained to what was kept.
    @Test func aJournalGoesOnBehindACut() throws {
        let records = try Self.records
        let (bytes, ends) = try encode(records)
        for (index, end) in ends.enumerated() {
            let replay = replayed(Array(bytes.prefix(end + 3)))
            var writer = replay.writer
            var again = Array(bytes.prefix(Int(replay.length)))
            for record in records.dropFirst(index + 1) {
                let encoded = writer.encode(record)
                again += try #require(encoded)
            }
            #expect(again == bytes)
        }
    }

    @Test func recordsThatWereRepeatedLeftOutOrSwappedDoNotCount() throws {
        let (bytes, ends, states) = try allStates()
        var starts = [JournalCoding.firstLine.count] + ends
        starts.removeLast()
        let pieces = zip(starts, ends).map { start, end in Array(bytes[start..<end]) }
        for index in pieces.indices {
            let head = JournalCoding.firstLine + pieces[..<index].flatMap { $0 }
            let tail = pieces[index...].flatMap { $0 }
            #expect(replayed(head + pieces[index] + tail).state == states[index + 1])
            #expect(replayed(head + pieces[(index + 1)...].flatMap { $0 }).state == states[index])
            guard index > 0 else { continue }
            let swapped = pieces[..<(index - 1)].flatMap { $0 } + pieces[index] + pieces[index - 1]
            #expect(replayed(JournalCoding.firstLine + swapped).state == states[index - 1])
        }
    }

    /// Well-formed records that no receiver writes there.
    @Test func recordsOutOfPlaceEndTheJournal() throws {
        let records = try Self.records
        let begin = records[0]
        let manifest = records[2]
        let position = records[5]
        let placing = records[9]
        let wanted = Array(records[3...4])
        let refused: [[JournalRecord]] = [
            [begin, begin], [begin, position], [begin, manifest, position], [begin, wanted[0]],
            [begin, manifest, wanted[0], position], [begin, manifest, manifest], [begin, placing], [begin, .finished],
            [begin, manifest, .wanted([WantedRun(skip: 3, take: 2)], isLast: true)],
            [begin, manifest] + wanted + [wanted[1]],
            [begin, manifest] + wanted + [.position(TransferPosition(file: 5, offset: 0), bytes: 0)],
            [begin, manifest] + wanted + [.position(TransferPosition(file: 4, offset: 1), bytes: 0)],
            [begin, manifest] + wanted + [.fileEnd(file: 4, size: 0)],
            [begin, manifest] + wanted + [.finished], [begin, manifest] + wanted + [placing, position],
            [begin, manifest] + wanted + [placing, .finished, .finished],
            [begin, manifest] + wanted + [placing, .finished, placing],
            [begin, manifest] + wanted + [placing, records[10], .finished, records[10]],
            [begin, manifest] + wanted + [records[10]],
        ]
        for records in refused {
            let (bytes, ends) = try encode(records + [.run(boot: [42])])
            let replay = replayed(bytes)
            #expect(replay.length == UInt64(ends[records.count - 2]))
            #expect(replay.state?.boot == [])
        }
        #expect(replayed(try encode([manifest, begin]).bytes).state == nil)
    }

    @Test func damagedJournalsAreReadUpToTheDamage() throws {
        let (bytes, _, states) = try allStates()
        let known = Set(states)
        for input in HostileInputs(damaging: [bytes], seed: 21, count: 2_000) {
            let whole = replayed(input.bytes)
            #expect(known.contains(whole.state), "\(input)")
            #expect(replayed(input.bytes, pieces: 5).state == whole.state, "\(input)")
            #expect(whole.length <= UInt64(input.bytes.count))
        }
    }

    /// A first record that does not count leaves the line in front of it good, however the two have come.
    @Test func theFirstLineCountsInAnyPieces() throws {
        let (bytes, _) = try encode([.run(boot: [1])])
        for pieces in [1, 16, bytes.count] {
            let replay = replayed(bytes, pieces: pieces)
            #expect(replay.state == nil && replay.length == UInt64(JournalCoding.firstLine.count), "\(pieces)")
        }
        // A second first line, behind what is none, makes no journal of it.
        let other = [UInt8](repeating: 0, count: JournalCoding.firstLine.count) + JournalCoding.firstLine
        for pieces in [1, 16, other.count] { #expect(replayed(other, pieces: pieces).length == 0, "\(pieces)") }
    }

    @Test func whatIsTooLongForARecordIsNotWritten() throws {
        var writer = JournalWriter()
        let runs = Array(repeating: WantedRun(skip: 1, take: 1), count: 9_000)
        #expect(writer.encode(.wanted(runs, isLast: true)) == nil)
        #expect(writer == JournalWriter())
    }
}
