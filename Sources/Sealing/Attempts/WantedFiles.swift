// SPDX-License-Identifier: Apache-2.0

/// So many files that are not wanted, and then so many that are.
package struct WantedRun: Hashable, Sendable {
    package let skip: UInt32
    package let take: UInt32

    package init(skip: UInt32, take: UInt32) {
        self.skip = skip
        self.take = take
    }
}

/// A note that says which files of the manifest are wanted.
package struct WantedNote: Hashable, Sendable {
    package let runs: [WantedRun]
    /// Whether no other follows.
    package let isLast: Bool

    private static let kind: UInt8 = 0
    /// What fits into a note, behind its kind and the byte that says whether it is the last.
    static let mostRuns = (NoteSealing.maximumLength - 2) / 8

    /// The plaintext of the note.
    package var encoded: [UInt8] {
        var note = FieldWriter()
        note.integer(Self.kind)
        note.integer(UInt8(isLast ? 1 : 0))
        for run in runs {
            note.integer(run.skip)
            note.integer(run.take)
        }
        return note.bytes
    }

    package init(runs: [WantedRun], isLast: Bool) {
        self.runs = runs
        self.isLast = isLast
    }

    /// Reads the plaintext of a note.
    package init(_ plaintext: [UInt8]) throws(SealingError) {
        var reader = FieldReader(plaintext)
        guard reader.integer(UInt8.self) == Self.kind, let last = reader.integer(UInt8.self), last <= 1,
            reader.rest.count % 8 == 0
        else { throw .malformed(.note) }
        var runs: [WantedRun] = []
        while let skip = reader.integer(UInt32.self), let take = reader.integer(UInt32.self) {
            runs.append(WantedRun(skip: skip, take: take))
        }
        self.init(runs: runs, isLast: last == 1)
    }
}

/// Collects which files are wanted, in the order of the manifest, into notes.
package struct WantedFilesWriter: Hashable, Sendable {
    private var runs: [WantedRun] = []
    private var skip: UInt32 = 0
    private var take: UInt32 = 0

    package init() {}

    /// Takes the next file; returns a note that is full.
    package mutating func append(isWanted: Bool) -> WantedNote? {
        var full: WantedNote?
        if isWanted ? take == .max : take > 0 || skip == .max { full = closeRun() }
        if isWanted { take += 1 } else { skip += 1 }
        return full
    }

    /// The last note.
    package mutating func finish() -> WantedNote {
        if take > 0 { runs.append(WantedRun(skip: skip, take: take)) }
        return WantedNote(runs: runs, isLast: true)
    }

    private mutating func closeRun() -> WantedNote? {
        runs.append(WantedRun(skip: skip, take: take))
        (skip, take) = (0, 0)
        // One more fits into the last note.
        guard runs.count == WantedNote.mostRuns - 1 else { return nil }
        defer { runs = [] }
        return WantedNote(runs: runs, isLast: false)
    }
}

/// Follows such notes, and holds them to the manifest.
package struct WantedFilesReader: Hashable, Sendable {
    /// The files that no run has reached yet.
    private var remaining: UInt64
    /// Whether the last note has come: what no run has taken is not wanted.
    package private(set) var isComplete = false

    /// - Parameter files: how many the manifest has.
    package init(files: UInt64) { remaining = files }

    /// Takes the next note; its runs go on where those of the one before ended.
    package mutating func take(_ note: WantedNote) throws(SealingError) -> [WantedRun] {
        guard !isComplete else { throw .malformed(.note) }
        for run in note.runs {
            let length = UInt64(run.skip) + UInt64(run.take)
            guard length <= remaining, length > 0 else { throw .malformed(.note) }
            remaining -= length
        }
        isComplete = note.isLast
        return note.runs
    }
}
