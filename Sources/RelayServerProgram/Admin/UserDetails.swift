// SPDX-License-Identifier: Apache-2.0

import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// All about one user; also the output of `relay-server users show --json`.
struct UserDetails: Hashable, Sendable, Codable {
    /// Whether the user may log in.
    enum State: String, Hashable, Sendable, Codable {
        case active, disabled
    }

    var name: PeerName
    var key: SigningKey
    var state: State
    /// Since when it is disabled, and when it registered: seconds since 1970.
    var disabled: UnixTime?
    var registered: UnixTime?
    /// The note of the invitation that it came with.
    var note: String?
    /// Its sessions on this node.
    var sessions: Int
    /// Bytes that it has moved since 00:00 UTC, as far as this node knows.
    var bytesToday: UInt64
    /// All limits that are in force for it, and those of them that are its own; 0 stands for no limit.
    var limits: LimitSet
    var ownLimits: LimitSet

    /// The details as lines of text for a person.
    var lines: String {
        var lines = ["name        \(name)"]
        switch disabled {
        case let time? where state == .disabled: lines.append("state       disabled since \(Self.text(time))")
        default: lines.append("state       \(state.rawValue)")
        }
        lines.append("key         \(key)")
        lines.append("registered  \(registered.map(Self.text) ?? "at a time that was not written down")")
        if let note { lines.append("note        \(TextEscape.escape(note))") }
        lines.append("sessions    \(sessions)")
        lines.append("today       \(bytesToday) bytes")
        for (limit, value) in limits.all {
            let own = ownLimits[limit] == nil ? "" : ", its own"
            let name = limit.rawValue + String(repeating: " ", count: max(0, 11 - limit.rawValue.utf8.count))
            lines.append("limit       \(name) \(LimitText.text(limit, value))\(own)")
        }
        return lines.joined(separator: "\n")
    }

    private static func text(_ time: UnixTime) -> String {
        LogTime(seconds: Int(clamping: time.seconds), milliseconds: 0).description
    }
}
