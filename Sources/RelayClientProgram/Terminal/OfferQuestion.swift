// SPDX-License-Identifier: Apache-2.0

import Sealing
import TransferClient

/// What a person is asked about before something is received.
struct OfferQuestion: Hashable, Sendable {
    let label: TransferLabel
    /// Who offers it, as far as that is known: the fingerprint, and what the identity is to this profile.
    let fingerprint: Fingerprint
    let contact: Contact
    /// Where it goes; nil where that is no folder, or its file system does not say how much fits.
    var destination: Destination?
    /// Which of its names mean something there that it replaces, or goes into; not escaped.
    var replaces: [String] = []

    /// A folder.
    struct Destination: Hashable, Sendable {
        let path: String
        /// Bytes.
        let free: UInt64
    }

    /// The question, of a few lines, the first of which is that of the offer:
    ///
    ///     alice offers "photos" (folder, 1,234 items, 5.20 GB)
    ///       alice is known, and not verified yet; 120 GB free in "/home/bob/Downloads"
    ///     Accept?
    var text: String {
        let size = label.size == nil ? "; its size is not known" : ""
        let names = label.summary.kind == .several ? "\n  " + named : ""
        return TransferText.offer(label) + size + names + "\n  " + who + room + replaced + "\nAccept?"
    }

    private var who: String {
        switch contact {
        case .first, .changed: "first contact with \(label.peer), whose fingerprint is \(fingerprint)"
        case .known(isVerified: false): "\(label.peer) is known, and not verified yet"
        case .known(isVerified: true): "\(label.peer) is verified"
        }
    }

    private var room: String {
        guard let destination else { return "" }
        let free = "; \(ByteFormat.string(destination.free)) free in \"\(DisplayName.path(destination.path))\""
        guard label.summary.hasHoles, let taken = label.summary.room else { return free }
        return free + ", of which it takes at least \(ByteFormat.string(taken))"
    }

    private var named: String {
        let isAll = label.summary.names.count < SealingDefaults.summaryNames
        return Self.quoted(label.summary.names) + (isAll ? "" : " and others")
    }

    private var replaced: String {
        guard !replaces.isEmpty else { return "" }
        let names = Self.quoted(replaces)
        return switch label.summary.kind {
        case .file, .stream: "\n  \(names) is there already, and will be replaced"
        case .folder: "\n  \(names) is there already, and files of the same names in it will be replaced"
        case .several: "\n  there already, and replaced where names are the same: \(names)"
        }
    }

    private static func quoted(_ names: [String]) -> String {
        names.map { "\"\(DisplayName.escape($0, columns: Defaults.listedNameColumns))\"" }.joined(separator: ", ")
    }
}
