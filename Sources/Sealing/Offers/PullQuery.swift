// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// A path among what someone shares: names, of which the first is that of something shared. Without any it is the top,
/// where the shared names are.
package struct PullPath: Hashable, Sendable, CustomStringConvertible {
    package let names: [EntryName]

    package static let top = PullPath([])

    /// - Parameter names: at most as many as a manifest may have within one another.
    package init(_ names: [EntryName]) { self.names = names }

    /// Reads names with a slash between them; nothing is the top.
    ///
    /// - Throws: what is wrong with one of them: what is empty, and what would lead elsewhere, is no name.
    package init(_ text: String) throws(NameFault) {
        var names: [EntryName] = []
        if !text.isEmpty {
            for name in text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
                names.append(try EntryName(Array(name)))
            }
        }
        guard names.count <= SealingDefaults.folderDepth + 1 else { throw .tooLong(text.utf8.count) }
        self.init(names)
    }

    package var description: String { names.map(\.text).joined(separator: "/") }
}

/// A transfer that broke, and that the requester has a part of.
package struct BrokenTransfer: Hashable, Sendable {
    package let transfer: CarriedTransfer
    /// The digest of its manifest: with it, what is shared can be seen to be the same.
    package let manifest: [UInt8]

    /// Nil unless the digest is as long as one.
    package init?(transfer: CarriedTransfer, manifest: [UInt8]) {
        guard manifest.count == KeyDerivation.hashLength else { return nil }
        self.transfer = transfer
        self.manifest = manifest
    }
}

/// What is asked of someone who shares.
package enum PullQuery: Hashable, Sendable {
    /// What there is at a path.
    case list(PullPath)
    /// To be offered these, none of which is the top, and no two of which have the same last name.
    case fetch([PullPath], resuming: BrokenTransfer? = nil)

    /// The names that an offer has at its top when it brings what is asked for, in the order of a manifest.
    package var names: [EntryName] {
        switch self {
        case .list: Self.listing.map { [$0] } ?? []
        case .fetch(let paths, resuming: _): paths.compactMap(\.names.last).sorted()
        }
    }

    /// Whether an offer of `summary` may bring what is asked for. Of many names it tells the first only: the manifest
    /// is held to all of ``names``.
    package func isAnswered(by summary: OfferSummary) -> Bool {
        let names = names
        guard summary.names == names.prefix(SealingDefaults.summaryNames).map(\.text) else { return false }
        switch (self, summary.kind) {
        case (.list, .stream): return true
        case (.list, .file), (.list, .folder), (.list, .several): return false
        case (.fetch, .several): return names.count > 1
        case (.fetch, .file), (.fetch, .folder), (.fetch, .stream): return names.count == 1
        }
    }

    /// The name of the one file that answers a request to list.
    package static let listingName = "listing"
    private static let listing = try? EntryName(Array(listingName.utf8))
}

extension PullQuery {
    private struct Fields: Codable {
        /// A transfer that broke.
        struct Resume: Codable {
            var transfer: CarriedTransfer
            var manifest: String
        }

        var list: String?
        var fetch: [String]?
        var resume: Resume?
    }

    /// The JSON of it; nil when it is too long.
    package var encoded: [UInt8]? {
        let fields =
            switch self {
            case .list(let path): Fields(list: path.description)
            case .fetch(let paths, let broken):
                Fields(
                    fetch: paths.map(\.description),
                    resume: broken.map { .init(transfer: $0.transfer, manifest: Base64URL.encode($0.manifest)) }
                )
            }
        guard let json = try? StrictJSON.encode(fields).utf8, json.count <= SealingDefaults.summaryBytes else {
            return nil
        }
        return Array(json)
    }

    /// Reads the JSON; nil when it asks for nothing, for both, or for what no one can have.
    init?(_ json: [UInt8]) {
        guard json.count <= SealingDefaults.summaryBytes, let fields = StrictJSON.decode(Fields.self, from: json) else {
            return nil
        }
        switch (fields.list, fields.fetch, fields.resume) {
        case (let path?, nil, nil):
            guard let path = try? PullPath(path) else { return nil }
            self = .list(path)
        case (nil, let paths?, let resume):
            let paths = paths.map { try? PullPath($0) }
            self.init(fetching: paths.compactMap { $0 }, resuming: resume.flatMap(Self.broken))
            guard paths.allSatisfy({ $0 != nil }), (resume == nil) == (broken == nil) else { return nil }
        case (nil, nil, _), (.some, .some, _), (.some, nil, .some): return nil
        }
    }

    /// Asks for these; nil when there are none, the top is among them, or two have the same last name.
    package init?(fetching paths: [PullPath], resuming broken: BrokenTransfer? = nil) {
        let names = paths.compactMap(\.names.last)
        guard !names.isEmpty, names.count == paths.count, Set(names).count == names.count else { return nil }
        self = .fetch(paths, resuming: broken)
    }

    private var broken: BrokenTransfer? { if case .fetch(_, let broken) = self { broken } else { nil } }

    private static func broken(_ fields: Fields.Resume) -> BrokenTransfer? {
        Base64URL.decode(fields.manifest).flatMap { BrokenTransfer(transfer: fields.transfer, manifest: $0) }
    }
}
