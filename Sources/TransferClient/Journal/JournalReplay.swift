// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Sealing

/// What the records of a journal say, together.
package struct JournalState: Hashable, Sendable {
    package let beginning: JournalBeginning
    /// The identifier of the system's boot in which the parts were opened last.
    package private(set) var boot: [UInt8] = []
    package private(set) var manifest: JournalManifest?
    /// Which files are wanted; nil for all, or when that is not known to the last.
    package private(set) var wanted: [WantedRun]?
    /// Everything before it was durable.
    package private(set) var position = TransferPosition.beginning
    /// How many bytes that was, with what is not wanted.
    package private(set) var bytes: UInt64 = 0
    /// The sizes of files that the manifest does not tell, by their numbers.
    package private(set) var sizes: [UInt64: UInt64] = [:]
    /// What is here as a whole, set once entries get their final names, or may have.
    package private(set) var totals: JournalTotals?
    /// The first of these names, at most ``TransferDefaults/mostStoredContents``; the last one said of an entry counts.
    package private(set) var places: [JournalPlace] = []
    /// Whether everything has its final name.
    package private(set) var isFinished = false

    private var runs: [WantedRun] = []

    init(_ beginning: JournalBeginning) { self.beginning = beginning }

    /// Whether content may have come: the manifest is here, and so is what is wanted of it.
    package var isReady: Bool { manifest != nil && (beginning.existing != .skip || wanted != nil) }

    /// Takes the next record; false, with nothing changed, when it has no place there.
    mutating func apply(_ record: JournalRecord) -> Bool {
        switch record {
        case .begin: return false
        case .run(let boot): self.boot = boot
        case .manifest(let manifest):
            guard self.manifest == nil else { return false }
            self.manifest = manifest
        case .wanted(let runs, let isLast):
            guard let manifest, beginning.existing == .skip, wanted == nil else { return false }
            let reached = (self.runs + runs).reduce(UInt64(0)) { $0 + UInt64($1.skip) + UInt64($1.take) }
            guard reached <= manifest.files else { return false }
            self.runs += runs
            if isLast { wanted = self.runs }
        case .position(let position, let bytes):
            guard isReady, totals == nil, let manifest, position.file <= manifest.files,
                position.file < manifest.files || position.offset == 0
            else { return false }
            self.position = position
            self.bytes = bytes
        case .fileEnd(let file, let size):
            guard isReady, totals == nil, let manifest, file < manifest.files else { return false }
            sizes[file] = size
        case .placing(let totals):
            guard isReady, !isFinished else { return false }
            self.totals = totals
        case .place(let place):
            guard totals != nil, !isFinished, let manifest, UInt64(place.entry) < manifest.entries else { return false }
            if places.last?.entry == place.entry { places.removeLast() }
            if places.count < TransferDefaults.mostStoredContents { places.append(place) }
        case .finished:
            guard totals != nil, !isFinished else { return false }
            isFinished = true
        }
        return true
    }
}

/// Reads a whole journal, and says from where it goes on.
package struct JournalReplay: Sendable {
    /// Nil while the first record is not there, and for good when it is not as it was written.
    package private(set) var state: JournalState?
    private var reader = JournalReader()

    package init() {}

    /// Takes the next bytes of the file.
    package mutating func append(_ bytes: ByteBuffer) {
        reader.append(bytes)
        var before = reader
        while let record = reader.next() {
            guard take(record) else {
                reader = before
                reader.end()
                return
            }
            before = reader
        }
    }

    /// The bytes of the file that count; what is behind them is to be cut off.
    package var length: UInt64 { reader.length }
    /// What writes behind them.
    package var writer: JournalWriter { reader.writer }

    private mutating func take(_ record: JournalRecord) -> Bool {
        if state != nil { return state?.apply(record) ?? false }
        guard case .begin(let beginning) = record else { return false }
        state = JournalState(beginning)
        return true
    }
}
