// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// The transfers that were introduced and have not ended, in the order of their introduction, and how far each is.
struct ActiveTransfers: Sendable {
    /// A transfer that has not ended, and how far it is.
    struct Entry: Sendable {
        /// What is going on.
        enum Phase: Hashable, Sendable {
            case waiting
            case ringing
            case offered
            case moving
            case verifying
            /// It broke, and may be offered again.
            case interrupted
        }

        var label: TransferLabel
        var phase: Phase
        var bytes: UInt64 = 0
        var rate = RateEstimator()
    }

    /// The relay is away, or cannot do what it is asked.
    struct Outage: Hashable, Sendable {
        /// The number of the next try, from 1.
        var attempt: Int
        /// When the next try is made.
        var next: NIODeadline
        /// The transfer that all of this is about; nil when it is about all of them.
        var transfer: TransferID?
    }

    private(set) var entries: [Entry] = []
    /// Nil while all is well.
    private(set) var outage: Outage?

    /// Takes in what `report` says. Returns the label of the transfer it is about, also of one that it ends.
    mutating func apply(_ report: TransferReport, now: NIODeadline) -> TransferLabel? {
        endOutage(with: report)
        switch report {
        case .introduced(let label):
            let isKnown = entries.contains { entry in entry.label.transfer == label.transfer }
            return isKnown ? label : set(label, .waiting)
        case .waiting(let label): return set(label, .waiting)
        case .ringing(let label): return set(label, .ringing)
        case .offered(let label): return set(label, .offered)
        case .started(let label):
            let known = set(label, .moving)
            update(label.transfer) { entry in entry.rate.record(bytes: entry.bytes, now: now) }
            return known
        case .resumed(let transfer, let bytes):
            return update(transfer) { entry in
                entry.bytes = bytes
                // What came before says nothing about how fast it goes on.
                entry.rate = RateEstimator()
                entry.rate.record(bytes: bytes, now: now)
            }
        case .kept(let label, _): return label
        case .progress(let transfer, let bytes):
            return update(transfer) { entry in
                entry.bytes = bytes
                entry.rate.record(bytes: bytes, now: now)
            }
        case .checksum(let transfer, _), .renamed(let transfer, _, _): return update(transfer) { _ in }
        case .verifying(let transfer): return update(transfer) { entry in entry.phase = .verifying }
        case .delivered(let transfer, _, _), .received(let transfer, _, _, _, _), .unchanged(let transfer, _):
            return remove(transfer)
        case .failed(let transfer, _, _): return transfer.flatMap { transfer in remove(transfer) }
        case .interrupted(let transfer, _): return update(transfer) { entry in entry.phase = .interrupted }
        case .withdrawn(let transfer), .restarted(let transfer, _, _): return remove(transfer)
        case .reconnecting(_, let attempt, let pause, let transfer):
            outage = Outage(attempt: attempt, next: now + pause, transfer: transfer)
            return nil
        case .reconnected:
            outage = nil
            return nil
        case .ready, .sharing, .requested, .refused, .asking, .firstContact, .unasked, .notice, .warning, .detail:
            return nil
        }
    }

    /// A line for each of them, in the order of their introduction; of more than `most`, those whose bytes flow before
    /// others, and a last line for all. None when there are none and all is well.
    func lines(now: NIODeadline, most: Int) -> [ProgressLine] {
        let all = line(now: now).map { [$0] } ?? []
        guard outage == nil, entries.count > 1, most > 1 else { return all }
        guard entries.count > most else { return entries.map { entry in Self.line(for: entry, now: now) } }
        let moving = entries.indices.filter { entries[$0].phase == .moving }
        let others = entries.indices.filter { entries[$0].phase != .moving }
        let chosen = (moving + others).prefix(most - 1).sorted()
        return chosen.map { index in Self.line(for: entries[index], now: now) } + all
    }

    /// One line for all of them; nil when there are none and all is well.
    func line(now: NIODeadline) -> ProgressLine? {
        if let outage {
            let title = entries.count == 1 ? entries.first.map { TransferText.title($0.label) } : nil
            return ProgressLine(title: title ?? "", state: Self.state(of: outage, now: now))
        }
        guard let first = entries.first else { return nil }
        if entries.count == 1 { return Self.line(for: first, now: now) }
        let moving = entries.filter { entry in entry.phase == .moving }
        guard !moving.isEmpty else {
            let states = Set(entries.map(Self.state(of:)))
            let state = "\(entries.count) transfers: " + states.sorted().joined(separator: ", ")
            return ProgressLine(title: "", state: state)
        }
        let sizes = entries.map(\.label.size)
        let others = entries.count - moving.count
        return ProgressLine(
            title: "\(entries.count) transfers" + (others > 0 ? ", \(others) waiting" : ""),
            activity: moving.first.map(Self.activity(of:)),
            bytes: Self.sum(entries.map(\.bytes)),
            total: sizes.contains(nil) ? nil : Self.sum(sizes.compactMap { $0 }),
            rate: Self.sum(moving.compactMap { entry in entry.rate.bytesPerSecond(now: now) })
        )
    }

    /// The line for `entry` alone.
    static func line(for entry: Entry, now: NIODeadline) -> ProgressLine {
        ProgressLine(
            title: TransferText.title(entry.label),
            state: entry.phase == .moving ? nil : state(of: entry),
            activity: activity(of: entry),
            bytes: entry.bytes,
            total: entry.label.size,
            rate: entry.rate.bytesPerSecond(now: now)
        )
    }

    /// In one word, what bytes that flow do.
    private static func activity(of entry: Entry) -> String {
        switch entry.label.direction {
        case .send: "sending"
        case .receive: "receiving"
        }
    }

    private static func state(of outage: Outage, now: NIODeadline) -> String {
        let seconds = max(0, (outage.next - now).nanoseconds + 999_999_999) / 1_000_000_000
        return "reconnecting (try \(outage.attempt)\(seconds > 0 ? " in \(seconds) s" : ""))"
    }

    private static func state(of entry: Entry) -> String {
        let peer = entry.label.peer
        switch (entry.phase, entry.label.direction) {
        case (.waiting, _): return "waiting for \(peer)"
        case (.ringing, _): return "ringing \(peer)"
        case (.offered, _): return "offered by \(peer)"
        case (.moving, .send): return "sending to \(peer)"
        case (.moving, .receive): return "receiving from \(peer)"
        case (.verifying, .send): return "\(peer) is verifying"
        case (.verifying, .receive): return "verifying"
        case (.interrupted, _): return "interrupted; waiting for \(peer)"
        }
    }

    /// Sizes come from the other side: a sum that overflows is the largest number.
    private static func sum(_ values: [UInt64]) -> UInt64 {
        values.reduce(0) { sum, value in
            let (next, overflow) = sum.addingReportingOverflow(value)
            return overflow ? .max : next
        }
    }

    /// The client makes no further attempts for a transfer that is over, or broke.
    private mutating func endOutage(with report: TransferReport) {
        guard let transfer = outage?.transfer else { return }
        switch report {
        case .delivered(transfer, _, _), .received(transfer, _, _, _, _), .unchanged(transfer, _),
            .failed(transfer, _, _),
            .interrupted(transfer, _), .restarted(transfer, _, _), .withdrawn(transfer):
            outage = nil
        case .ready, .sharing, .requested, .refused, .asking, .introduced, .waiting, .ringing, .offered, .firstContact,
            .started, .resumed, .progress, .verifying, .renamed, .checksum, .delivered, .received, .unchanged, .failed,
            .interrupted, .restarted, .kept, .withdrawn, .reconnecting, .reconnected, .unasked, .notice, .warning,
            .detail:
            break
        }
    }

    private mutating func set(_ label: TransferLabel, _ phase: Entry.Phase) -> TransferLabel {
        if let index = entries.firstIndex(where: { $0.label.transfer == label.transfer }) {
            entries[index].label = label
            entries[index].phase = phase
        } else {
            entries.append(Entry(label: label, phase: phase))
        }
        return label
    }

    @discardableResult
    private mutating func update(_ transfer: TransferID, _ change: (inout Entry) -> Void) -> TransferLabel? {
        guard let index = entries.firstIndex(where: { $0.label.transfer == transfer }) else { return nil }
        change(&entries[index])
        return entries[index].label
    }

    private mutating func remove(_ transfer: TransferID) -> TransferLabel? {
        entries.firstIndex { $0.label.transfer == transfer }.map { index in entries.remove(at: index).label }
    }
}
