// SPDX-License-Identifier: Apache-2.0

import Sealing
import TransferClient
import WSProtocol

/// What a transfer carries, in words that are fit for a terminal.
enum TransferText {
    /// `report.pdf`, `photos`, or `a.txt and 2 others`.
    static func title(_ label: TransferLabel) -> String { title(label.summary) { DisplayName.escape($0) } }

    /// `"report.pdf"`, `"photos"`, or `"a.txt" and 2 others`.
    static func quoted(_ label: TransferLabel) -> String { quoted(label.summary) }

    /// As ``quoted(_:)``.
    static func quoted(_ summary: OfferSummary) -> String { title(summary, shown: quoted) }

    /// `"report.pdf" (12.3 MB)`, `"photos" (folder, 1,234 items, 5.20 GB)`, or `"a.txt" and 2 others (3 items, 42 kB)`.
    ///
    /// - Parameter bytes: of content, where that is known better than from the summary.
    static func what(_ label: TransferLabel, _ bytes: UInt64? = nil) -> String {
        quoted(label) + details(label.summary, bytes ?? label.size)
    }

    /// `alice offers "report.pdf" (12.3 MB)`
    static func offer(_ label: TransferLabel) -> String { "\(label.peer) offers \(what(label))" }

    /// What a limit of the relay means for who waits.
    static func limited(_ rate: Int64) -> String {
        "the relay moves at most \(ByteFormat.string(UInt64(clamping: rate))) a second of your transfers: "
            + "its operator can allow more"
    }

    /// `"photos/2024" and 1 other`, or `the list of "photos"`.
    static func asked(_ query: PullQuery) -> String {
        switch query {
        case .list(let path): path.names.isEmpty ? "the list" : "the list of \"\(DisplayName.path(path.description))\""
        case .fetch(let paths, resuming: _): list(paths.map(\.description))
        }
    }

    /// `"photos"`, `"photos" and "a.txt"`, or `"photos", "a.txt" and 3 others`.
    static func list(_ names: [String]) -> String {
        let shown = names.prefix(names.count > 3 ? 2 : 3).map { "\"\(DisplayName.path($0))\"" }
        let rest = names.count - shown.count
        let last = rest > 0 ? "\(rest) others" : shown.last ?? ""
        let first = rest > 0 ? shown : shown.dropLast()
        return first.isEmpty ? last : first.joined(separator: ", ") + " and " + last
    }

    /// `bob`, `bob and carol`, or `bob, carol and dave`.
    static func names(_ peers: [PeerName]) -> String {
        let names = peers.map(\.rawValue)
        guard let last = names.last, names.count > 1 else { return names.first ?? "" }
        return names.dropLast().joined(separator: ", ") + " and " + last
    }

    /// As many characters of an id as tell it from the others, to be typed: an id that begins with a dash would be
    /// taken for an option.
    static func shortID(_ id: String) -> String { String(undashed(id).prefix(8)) }

    /// An id without dashes in front.
    static func undashed(_ id: String) -> Substring { id.drop { $0 == "-" } }

    /// `1,234`
    static func count(_ number: UInt64) -> String {
        let digits = Array("\(number)")
        return String(
            digits.enumerated().flatMap { index, digit in
                index > 0 && (digits.count - index) % 3 == 0 ? [",", digit] : [digit]
            })
    }

    /// How much it is, in parentheses and behind a blank; empty where nothing is known.
    static func details(_ summary: OfferSummary, _ bytes: UInt64?) -> String {
        let facts = [kind(summary), items(summary), bytes.map(ByteFormat.string)].compactMap(\.self)
        return facts.isEmpty ? "" : " (\(facts.joined(separator: ", ")))"
    }

    private static func kind(_ summary: OfferSummary) -> String? { summary.kind == .folder ? "folder" : nil }

    /// How many files and folders it has, where it may be more than the one that is named.
    private static func items(_ summary: OfferSummary) -> String? {
        guard let entries = summary.entries else { return nil }
        switch summary.kind {
        case .file, .stream: return nil
        // The folder itself is one of them.
        case .folder where entries <= 1: return "empty"
        case .folder: return items(entries - 1)
        case .several: return items(entries)
        }
    }

    private static func items(_ number: UInt64) -> String { "\(count(number)) item\(number == 1 ? "" : "s")" }

    private static func quoted(_ name: String) -> String { "\"\(DisplayName.escape(name))\"" }

    private static func title(_ summary: OfferSummary, shown: (String) -> String) -> String {
        let first = shown(summary.names.first ?? "")
        guard summary.kind == .several else { return first }
        // No more are named than these: there may be others.
        guard summary.names.count < SealingDefaults.summaryNames else { return "\(first) and others" }
        switch summary.names.count {
        case 0, 1: return "\(first) and others"
        case 2: return "\(first) and 1 other"
        default: return "\(first) and \(summary.names.count - 1) others"
        }
    }
}
