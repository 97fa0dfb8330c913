// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import TransferClient
import WSProtocol

/// The policies for all senders, and their text: one JSON object a line.
struct SenderPolicies: Hashable, Sendable {
    private var policies: [PeerName: SenderPolicy] = [:]

    init() {}

    var count: Int { policies.count }

    /// In the order of the names.
    var all: [(name: PeerName, policy: SenderPolicy)] {
        policies.map { (name: $0.key, policy: $0.value) }.sorted { $0.name.rawValue < $1.name.rawValue }
    }

    /// What holds for a sender. Setting nil forgets it.
    subscript(name: PeerName) -> SenderPolicy? {
        get { policies[name] }
        set { policies[name] = newValue }
    }

    // MARK: - As text

    /// What is wrong with a text.
    struct Damage: Error, Hashable {
        /// Counted from 1.
        let line: Int
    }

    private struct Line: Codable {
        var v: Int
        var name: PeerName
        var answer: SenderPolicy.Answer
        var folder: String?
        var maxSize: UInt64?
        var maxDay: UInt64?
        var exec: String?
        var execShell: String?

        private enum CodingKeys: String, CodingKey {
            case v, name, answer, folder, exec
            case maxSize = "max_size"
            case maxDay = "max_day"
            case execShell = "exec_shell"
        }
    }

    /// Reads what ``encoded`` gave.
    init(_ content: Data) throws(Damage) {
        var lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.popLast()?.isEmpty ?? true else { throw Damage(line: lines.count + 1) }
        for (index, bytes) in lines.enumerated() {
            guard let line = StrictJSON.decode(Line.self, from: bytes), let policy = Self.policy(line),
                // A member that is not known could be a limit.
                (try? StrictJSON.encode(line)).map({ Array($0.utf8) }) == Array(bytes),
                policies.updateValue(policy, forKey: line.name) == nil
            else { throw Damage(line: index + 1) }
        }
    }

    var encoded: Data {
        var text = ""
        for (name, policy) in all {
            var line = Line(v: 1, name: name, answer: policy.answer)
            line.folder = policy.folder
            (line.maxSize, line.maxDay) = (policy.maximumSize, policy.maximumDay)
            if let command = policy.command {
                if command.isShell { line.execShell = command.text } else { line.exec = command.text }
            }
            guard let json = try? StrictJSON.encode(line) else { continue }
            text += json + "\n"
        }
        return Data(text.utf8)
    }

    private static func policy(_ line: Line) -> SenderPolicy? {
        guard line.v == 1, line.folder.map({ $0.hasPrefix("/") }) ?? true else { return nil }
        var policy = SenderPolicy(
            line.answer, folder: line.folder, maximumSize: line.maxSize, maximumDay: line.maxDay)
        switch (line.exec, line.execShell) {
        case (nil, nil): break
        case (let text?, nil):
            guard let command = try? FileCommand(text) else { return nil }
            policy.command = command
        case (nil, let text?):
            guard let command = try? FileCommand(shell: text) else { return nil }
            policy.command = command
        case (.some, .some): return nil
        }
        return policy
    }
}
