// SPDX-License-Identifier: Apache-2.0

/// The rules of section 8.2 that concern more than one entry: depth first, each folder in the order of names' bytes, so
/// that what is kept is the way to the last entry and no more.
struct EntryOrder: Hashable, Sendable {
    /// A folder that entries may still come into; the first one is the top.
    private struct Folder: Hashable {
        var number: UInt32?
        var lastName: EntryName?
    }

    private var way = [Folder(number: nil, lastName: nil)]
    /// How many entries there were.
    private(set) var count: UInt64 = 0
    private(set) var files: UInt64 = 0
    /// The sizes of the files, together; nil when one is not known.
    private(set) var bytes: UInt64? = 0

    /// Takes the next entry.
    mutating func add(_ entry: ManifestEntry) throws(ManifestFault) {
        guard let number = UInt32(exactly: count), number < .max - 1 else { throw .tooMany }
        guard let depth = way.lastIndex(where: { $0.number == entry.parent }) else { throw .parent(entry: count) }
        way.removeLast(way.count - 1 - depth)
        if let last = way[depth].lastName, last >= entry.name { throw .order(entry: count, entry.name.bytes) }
        way[depth].lastName = entry.name
        switch entry.kind {
        case .folder:
            guard depth < SealingDefaults.folderDepth else { throw .depth(entry: count) }
            way.append(Folder(number: number, lastName: nil))
        case .file(let size):
            files += 1
            try addSize(size)
        case .link: break
        }
        count += 1
    }

    private mutating func addSize(_ size: UInt64?) throws(ManifestFault) {
        guard let sum = bytes, let size else {
            bytes = nil
            return
        }
        let (total, overflow) = sum.addingReportingOverflow(size)
        guard !overflow else { throw .counts }
        bytes = total
    }
}
