// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// One line of the answer to a request to list (docs/sealed-format.md, section 9).
package struct ListedEntry: Hashable, Sendable {
    /// What it is.
    package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
        case file, folder, link
    }

    package let name: EntryName
    package let kind: Kind
    /// Of a file.
    package let size: UInt64?
    /// When it was modified, in milliseconds since 1970.
    package let modified: Int64

    package init(name: EntryName, kind: Kind, size: UInt64?, modified: Int64) {
        self.name = name
        self.kind = kind
        self.size = size
        self.modified = modified
    }

    private struct Fields: Codable {
        var name: String
        var type: Kind
        var size: UInt64?
        var modified: Int64
    }

    /// The line, with its line feed.
    package var line: [UInt8] {
        let fields = Fields(name: name.text, type: kind, size: size, modified: modified)
        guard let json = try? StrictJSON.encode(fields) else { return [] }
        return Array(json.utf8) + [Self.lineFeed]
    }

    /// Reads a line without its line feed; nil when it is none.
    init?(line: [UInt8]) {
        guard let fields = StrictJSON.decode(Fields.self, from: line),
            let name = try? EntryName(Array(fields.name.utf8)), (fields.size != nil) == (fields.type == .file)
        else { return nil }
        self.init(name: name, kind: fields.type, size: fields.size, modified: fields.modified)
    }

    fileprivate static let lineFeed = UInt8(ascii: "\n")
    /// The most bytes of a line: a name each character of which is written as six, and then some.
    fileprivate static let longestLine = 2_048
}

/// Reads the answer to a request to list, piece by piece, and keeps a line of it at most.
package struct ListingReader: Sendable {
    /// How many entries were whole.
    package private(set) var count = 0
    private var line: [UInt8] = []
    private var last: EntryName?

    package init() {}

    /// Takes what came. Returns the entries that are whole.
    ///
    /// - Throws: `malformed`, when a line is no entry, or the names are not in the order of their bytes.
    package mutating func append(_ bytes: some Sequence<UInt8>) throws(SealingError) -> [ListedEntry] {
        var entries: [ListedEntry] = []
        for byte in bytes {
            guard byte == ListedEntry.lineFeed else {
                guard line.count < ListedEntry.longestLine else { throw .malformed(.listing) }
                line.append(byte)
                continue
            }
            guard let entry = ListedEntry(line: line), last.map({ $0 < entry.name }) ?? true else {
                throw .malformed(.listing)
            }
            line.removeAll(keepingCapacity: true)
            last = entry.name
            count += 1
            entries.append(entry)
        }
        return entries
    }

    /// Everything has come: throws unless the last line is whole.
    package func finish() throws(SealingError) { guard line.isEmpty else { throw .malformed(.listing) } }
}
