// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// What a session has to be told and does not read yet, in order.
///
/// Messages stay values until the connection takes them: the payload of a `ring` is the very text that the offer holds,
/// so that a ring costs next to nothing until it is sent. What is no longer true by then is left out: a `ring` whose
/// offer is over, together with the `failed` that says so, and a report of progress that a later one follows.
struct SessionOutbox: Sendable {
    /// What may wait.
    struct Limits: Hashable, Sendable {
        var messages: Int
        /// Bytes that nothing else holds: the payloads of all messages but rings, and ``Defaults/Unread/messageBytes``
        /// for each.
        var bytes: Int
    }

    private enum Entry: Sendable {
        case message(ServerMessage, bytes: Int)
        case leftOut
    }

    private let limits: Limits
    private var entries = CircularBuffer<Entry>()
    /// The number of the first entry; each has the next one.
    private var first: UInt64 = 0
    /// The numbers of rings and of reports of progress that wait.
    private var rings: [TransferID: UInt64] = [:]
    private var reports: [TransferID: UInt64] = [:]
    private var messages = 0
    /// Bytes that wait.
    private(set) var bytes = 0

    init(limits: Limits) { self.limits = limits }

    var isEmpty: Bool { messages == 0 }

    /// Whether what waits would be, with `message`, at most half of what may wait.
    func isLessThanHalfFull(with message: ServerMessage) -> Bool {
        messages < limits.messages / 2
            && bytes + Defaults.Unread.messageBytes + message.ownPayload <= limits.bytes / 2
    }

    /// Appends a message.
    /// - Returns: false when there is more than there may be.
    mutating func append(_ message: ServerMessage) -> Bool {
        let number = first + UInt64(entries.count)
        switch message {
        case .ring(let ring): rings[ring.transfer] = number
        case .failed(let failed):
            if let ring = rings.removeValue(forKey: failed.transfer) {
                leaveOut(ring)
                return true
            }
        case .progress(let progress):
            if let report = reports.updateValue(number, forKey: progress.transfer) { leaveOut(report) }
        case .challenge, .welcome, .error, .ok, .peer, .pong, .offered, .start, .note, .delivered, .requested, .refused,
            .move:
            break
        }
        let size = Defaults.Unread.messageBytes + message.ownPayload
        entries.append(.message(message, bytes: size))
        messages += 1
        bytes += size
        return messages <= limits.messages && bytes <= limits.bytes
    }

    /// Takes out the next message; nil when there is none.
    mutating func next() -> ServerMessage? {
        while let entry = entries.popFirst() {
            first += 1
            guard case .message(let message, let size) = entry else { continue }
            messages -= 1
            bytes -= size
            switch message {
            case .ring(let ring): rings[ring.transfer] = nil
            case .progress(let progress):
                if reports[progress.transfer] == first - 1 { reports[progress.transfer] = nil }
            case .challenge, .welcome, .error, .ok, .peer, .pong, .offered, .start, .note, .delivered, .failed,
                .requested, .refused, .move:
                break
            }
            return message
        }
        return nil
    }

    /// Leaves out the rings that wait: the session is over.
    mutating func leaveOutRings() {
        for number in rings.values { leaveOut(number) }
        rings = [:]
    }

    private mutating func leaveOut(_ number: UInt64) {
        guard number >= first, number - first < UInt64(entries.count) else { return }
        let index = entries.index(entries.startIndex, offsetBy: Int(number - first))
        guard case .message(_, let size) = entries[index] else { return }
        entries[index] = .leftOut
        messages -= 1
        bytes -= size
        // What is left out at either end takes no place; in between there are never more of them than messages for
        // long.
        while case .leftOut? = entries.first {
            entries.removeFirst()
            first += 1
        }
        while case .leftOut? = entries.last { entries.removeLast() }
    }
}

extension ServerMessage {
    /// Bytes of a payload that only this message holds.
    fileprivate var ownPayload: Int {
        switch self {
        case .start(let start): start.payload?.rawValue.utf8.count ?? 0
        case .note(let note): note.payload.rawValue.utf8.count
        case .delivered(let delivered): delivered.payload.rawValue.utf8.count
        case .requested(let requested): requested.payload.rawValue.utf8.count
        case .ring, .challenge, .welcome, .error, .ok, .peer, .pong, .offered, .failed, .progress, .refused, .move: 0
        }
    }
}
