// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Sealing
import TransferClient
import WSProtocol

/// How much of each sender counts as taken on its last day, and its text: one JSON object a line.
struct DayCounts: Hashable, Sendable {
    private var counts: [PeerName: DayCount] = [:]

    init() {}

    /// What counts on a day.
    mutating func count(of name: PeerName, day: String) -> DayCount {
        var count = counts[name] ?? DayCount(day: day)
        count.begin(day: day)
        return count
    }

    mutating func set(_ count: DayCount, of name: PeerName) { counts[name] = count.bytes == 0 ? nil : count }

    /// Other days do not matter any more.
    mutating func keepOnly(day: String) { counts = counts.filter { $0.value.day == day } }

    // MARK: - As text

    private struct Line: Codable {
        var v: Int
        var name: PeerName
        var day: String
        var settled: UInt64
        var open: [String: UInt64]
    }

    /// Reads what ``encoded`` gave.
    init(_ content: Data) throws(SenderPolicies.Damage) {
        var lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.popLast()?.isEmpty ?? true else { throw .init(line: lines.count + 1) }
        for (index, bytes) in lines.enumerated() {
            guard let line = StrictJSON.decode(Line.self, from: bytes), line.v == 1 else {
                throw .init(line: index + 1)
            }
            var open: [CarriedTransfer: UInt64] = [:]
            for (text, bytes) in line.open {
                guard let transfer = CarriedTransfer(rawValue: text) else { throw .init(line: index + 1) }
                open[transfer] = bytes
            }
            let count = DayCount(day: line.day, settled: line.settled, open: open)
            guard counts.updateValue(count, forKey: line.name) == nil else { throw .init(line: index + 1) }
        }
    }

    var encoded: Data {
        var text = ""
        for (name, count) in counts.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            let open = count.open.map { ($0.key.rawValue, $0.value) }
            let line = Line(
                v: 1, name: name, day: count.day, settled: count.settled,
                open: Dictionary(open) { first, _ in first })
            guard let json = try? StrictJSON.encode(line) else { continue }
            text += json + "\n"
        }
        return Data(text.utf8)
    }
}
