// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Sealing

@Suite struct NoteTests {
    private let keys: (sender: AttemptKeys, receiver: AttemptKeys)

    init() throws {
        var attempt = try Attempt()
        keys = try attempt.keys()
    }

    @Test func opensInOrder() throws {
        for side in NoteSide.allCases {
            var (mine, theirs) = (NoteSealing(of: side, with: keys.sender), NoteSealing(of: side, with: keys.receiver))
            for number in 0..<5 {
                let text = Array("note \(number)".utf8)
                #expect(try theirs.open(mine.seal(text)) == text)
            }
        }
    }

    @Test func refusesNotesThatAreLostRepeatedOrMoved() throws {
        var sealer = NoteSealing(of: .receiver, with: keys.receiver)
        let notes = try (0..<3).map { try sealer.seal([UInt8($0)]) }
        var opener = NoteSealing(of: .receiver, with: keys.sender)
        #expect(throws: SealingError.doesNotOpen(.note)) { try opener.open(notes[1]) }
        #expect(try opener.open(notes[0]) == [0])
        for wrong in [0, 2] { #expect(throws: SealingError.doesNotOpen(.note)) { try opener.open(notes[wrong]) } }
        #expect(try opener.open(notes[1]) == [1])
    }

    @Test func refusesNotesOfTheOtherSideAndOfAnotherAttempt() throws {
        var other = try Attempt(2)
        let otherKeys = try other.keys()
        for wrong in [
            NoteSealing(of: .sender, with: keys.receiver), NoteSealing(of: .receiver, with: otherKeys.receiver),
        ] {
            var (sealer, opener) = (wrong, NoteSealing(of: .receiver, with: keys.sender))
            let note = try sealer.seal([1])
            #expect(throws: SealingError.doesNotOpen(.note)) { try opener.open(note) }
        }
    }

    @Test func refusesAlteredAndCutNotes() throws {
        var sealer = NoteSealing(of: .sender, with: keys.sender)
        let opener = NoteSealing(of: .sender, with: keys.receiver)
        let note = try sealer.seal([1, 2, 3])
        for length in 0..<note.count {
            var opener = opener
            #expect(throws: SealingError.self) { try opener.open(Array(note.prefix(length))) }
        }
        for bit in 8..<note.count * 8 {
            var (opener, altered) = (opener, note)
            altered[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: SealingError.doesNotOpen(.note)) { try opener.open(altered) }
        }
        var last = opener
        #expect(throws: SealingError.otherSuite(7)) { try last.open([7] + note.dropFirst()) }
    }

    @Test func carriesWhatAPayloadHasRoomFor() throws {
        var sealer = NoteSealing(of: .sender, with: keys.sender)
        let longest = [UInt8](repeating: 1, count: NoteSealing.maximumLength)
        #expect(try sealer.seal(longest).count == 32 * 1024)
        #expect(throws: SealingError.malformed(.note)) { try sealer.seal(longest + [1]) }
    }
}

@Suite struct DeliveredTests {
    private static let summary = DeliveredSummary(manifest: [UInt8](repeating: 3, count: 32), entries: 5, bytes: .max)

    @Test func opensInItsAttemptOnly() throws {
        var (one, two) = (try Attempt(1), try Attempt(2))
        let keys = try one.keys()
        let payload = try DeliveredSealing.seal(Self.summary, with: keys.receiver)
        #expect(try DeliveredSealing.open(payload, with: keys.sender) == Self.summary)
        let other = try two.keys().sender
        #expect(throws: SealingError.doesNotOpen(.delivered)) { try DeliveredSealing.open(payload, with: other) }
        // The relay passes a note on as `delivered`.
        var notes = NoteSealing(of: .receiver, with: keys.receiver)
        let note = try notes.seal([UInt8](repeating: 0, count: 48))
        #expect(throws: SealingError.doesNotOpen(.delivered)) { try DeliveredSealing.open(note, with: keys.sender) }
        for length in 0..<payload.count {
            #expect(throws: SealingError.self) {
                try DeliveredSealing.open(Array(payload.prefix(length)), with: keys.sender)
            }
        }
        let short = DeliveredSummary(manifest: [1], entries: 1, bytes: 1)
        #expect(throws: SealingError.malformed(.delivered)) { try DeliveredSealing.seal(short, with: keys.receiver) }
    }
}

@Suite struct WantedFilesTests {
    /// Which of so many files are wanted, read from notes.
    private func read(_ notes: [WantedNote], files: Int) throws -> [Bool] {
        var reader = WantedFilesReader(files: UInt64(files))
        var wanted: [Bool] = []
        for note in notes {
            #expect(!reader.isComplete && note.encoded.count <= NoteSealing.maximumLength)
            for run in try reader.take(WantedNote(note.encoded)) {
                wanted += [Bool](repeating: false, count: Int(run.skip)) + [Bool](repeating: true, count: Int(run.take))
            }
        }
        #expect(reader.isComplete)
        return wanted + [Bool](repeating: false, count: files - wanted.count)
    }

    @Test(arguments: SeededGenerator.seeds(20)) func readsWhatItWrites(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let files = [0, 1, 2, 7, 50, 30_000][Int.random(in: 0..<6, using: &generator)]
        let share = Double.random(in: 0...1, using: &generator)
        let wanted = (0..<files).map { _ in Double.random(in: 0..<1, using: &generator) < share }
        var writer = WantedFilesWriter()
        var notes: [WantedNote] = []
        for isWanted in wanted { if let note = writer.append(isWanted: isWanted) { notes.append(note) } }
        notes.append(writer.finish())
        #expect(try read(notes, files: files) == wanted, "seed \(seed)")
    }

    @Test func refusesRunsThatGoOnBehindTheLastFile() throws {
        for runs in [
            [WantedRun(skip: 2, take: 2)], [WantedRun(skip: .max, take: .max)], [WantedRun(skip: 0, take: 0)],
            [WantedRun(skip: 1, take: 1), WantedRun(skip: 1, take: 1)],
        ] {
            var reader = WantedFilesReader(files: 3)
            #expect(throws: SealingError.malformed(.note)) { try reader.take(WantedNote(runs: runs, isLast: true)) }
        }
    }

    @Test func refusesANoteBehindTheLast() throws {
        var reader = WantedFilesReader(files: 3)
        _ = try reader.take(WantedNote(runs: [], isLast: true))
        #expect(throws: SealingError.malformed(.note)) { try reader.take(WantedNote(runs: [], isLast: true)) }
    }

    @Test(arguments: [[], [0], [1, 0], [0, 2], [0, 1, 0], [0, 1, 0, 0, 0, 1, 0, 0, 0]] as [[UInt8]])
    func refusesNotesThatAreNone(_ note: [UInt8]) {
        #expect(throws: SealingError.malformed(.note)) { try WantedNote(note) }
    }
}
