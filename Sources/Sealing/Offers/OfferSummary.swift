// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import WSProtocol

/// What the person at the receiver is asked about.
package struct OfferSummary: Hashable, Sendable {
    /// What is offered, in a word.
    package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
        case file, folder, several, stream
    }

    /// The first top-level names, at most eight. Untrusted text, but each a name.
    package var names: [String]
    /// How many entries the manifest will have.
    package var entries: UInt64?
    /// The sum of the files' sizes.
    package var bytes: UInt64?
    /// How many of these are in holes, for which the disk needs no room, as far as the sender knows.
    package var holes: UInt64?
    package var kind: Kind
    /// The request that this answers.
    package var answers: PullRequest?

    package init(
        names: [String], entries: UInt64? = nil, bytes: UInt64? = nil, holes: UInt64? = nil, kind: Kind,
        answers: PullRequest? = nil
    ) {
        self.names = names
        self.entries = entries
        self.bytes = bytes
        self.holes = holes
        self.kind = kind
        self.answers = answers
    }

    /// How much room it takes at the least, once it is here.
    package var room: UInt64? { bytes.map { $0 - min($0, holes ?? 0) } }

    /// Whether it takes less room than it is long.
    package var hasHoles: Bool { holes ?? 0 > 0 }

    /// Whether the same is offered: how much of it are holes is up to a file system, which may change its mind.
    package func offersSame(as other: OfferSummary) -> Bool {
        var same = other
        same.holes = holes
        return self == same
    }

    /// The JSON of it; nil when it is not one that a receiver takes.
    var encoded: [UInt8]? {
        guard areNames, let json = try? StrictJSON.encode(self).utf8, json.count <= SealingDefaults.summaryBytes else {
            return nil
        }
        return Array(json)
    }

    /// Reads the JSON; nil when it is not a summary.
    init?(_ json: [UInt8]) {
        guard json.count <= SealingDefaults.summaryBytes, let summary = StrictJSON.decode(Self.self, from: json),
            summary.areNames
        else { return nil }
        self = summary
    }

    private var areNames: Bool {
        names.count <= SealingDefaults.summaryNames && names.allSatisfy { EntryName.fault(Array($0.utf8)) == nil }
    }
}

extension OfferSummary: Codable {}
