// SPDX-License-Identifier: Apache-2.0

import Sealing

/// What a scan found, in the memory that its manifest takes and eight bytes for each entry.
struct SourceCatalogue: Sendable {
    /// The entries at the top of the manifest, in its order.
    var tops: [SourceTop] = []
    var manifest = WrittenManifest()
    /// The version of each entry, in the order of the manifest.
    var versions: [SourceVersion] = []
    /// Bytes in holes; where there are none, they are not looked for.
    var holes: UInt64 = 0

    /// Whether any file has holes.
    var hasHoles: Bool { holes > 0 }

    /// What is offered.
    var summary: OfferSummary {
        var cursor = WrittenManifest.Cursor()
        let first = manifest.next(&cursor)?.kind
        let kind: OfferSummary.Kind =
            switch first {
            case .some where tops.count > 1: .several
            case .some(.file(.some)): .file
            case .some(.file(nil)): .stream
            case .some(.folder), .some(.link), nil: .folder
            }
        return OfferSummary(
            names: tops.prefix(SealingDefaults.summaryNames).map(\.name.text), entries: manifest.entries,
            bytes: manifest.bytes, holes: hasHoles && manifest.bytes != nil ? holes : nil, kind: kind
        )
    }

    /// What it is called in a message.
    var shownName: String {
        let first = tops.first?.name.text ?? ""
        switch tops.count {
        case ...1: return first
        case 2: return "\(first) and 1 other"
        default: return "\(first) and \(tops.count - 1) others"
        }
    }

    /// The sizes of the files, in order; nil of one that is not known.
    var sizes: some Sequence<UInt64?> {
        sequence(state: WrittenManifest.Cursor()) { cursor -> UInt64?? in
            while let entry = manifest.next(&cursor) {
                if case .file(let size) = entry.kind { return .some(size) }
            }
            return nil
        }
    }
}
