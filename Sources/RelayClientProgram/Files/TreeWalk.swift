// SPDX-License-Identifier: Apache-2.0

import PrivateFiles
import Sealing
import TransferClient

/// Follows the entries of a stored manifest through the folders of a tree.
struct TreeWalk {
    /// Told of each folder that is left, with what the manifest says of it.
    typealias Leaving = (_ entry: ManifestEntry, _ folder: OpenFile) throws(SystemError) -> Void

    private var manifest: ManifestFileReader
    private var way: TreeWay

    /// - Parameter top: the folder that the entries of the top are in.
    init(_ part: PartFolder, length: UInt64, top: OpenFile) {
        manifest = ManifestFileReader(part.manifest, length: length)
        way = TreeWay(top)
    }

    /// The folder that the entry which was read last is in; nil when it is missing.
    var folder: OpenFile? { way.current }

    /// The next entry, with its number; nil at the end, when all folders were left.
    mutating func next(leaving: Leaving = { _, _ in }) throws(TreeFault) -> (entry: ManifestEntry, number: UInt32)? {
        let number = UInt32(truncatingIfNeeded: manifest.number)
        let entry = try manifest.next()
        while way.depth > 0, entry == nil || way.number != entry?.parent { try leave(leaving) }
        guard let entry else { return nil }
        guard way.number == entry.parent else { throw .damaged }
        return (entry, number)
    }

    /// Goes into the folder that was read last; nil when it is missing, and so is all in it.
    mutating func enter(_ entry: ManifestEntry, _ number: UInt32, _ folder: OpenFile?) throws(TreeFault) {
        do { try way.enter(number, entry, folder) } catch { throw .system(error, way.path(of: entry.name)) }
    }

    /// The path of an entry that was read last, from the top of the tree.
    func path(of entry: ManifestEntry) -> String { way.path(of: entry.name) }

    /// The names on the way to an entry that was read last, from the top of the tree.
    func names(to entry: ManifestEntry) -> [String] { way.names(to: entry.name) }

    private mutating func leave(_ leaving: Leaving) throws(TreeFault) {
        do throws(SystemError) {
            if let (entry, folder) = try way.leave() { try leaving(entry, folder) }
        } catch {
            throw .system(error, "")
        }
    }
}
