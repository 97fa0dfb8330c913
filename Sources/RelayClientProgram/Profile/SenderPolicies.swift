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

    /// Reads what ``encoded`` gave.
    init(_ content: Data) throws(Damage) {
        var lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.popLast()?.isEmpty ?? true else { throw Damage(line: lines.count + 1) }
        for (index, bytes) in lines.enumerated() {
            guard let line = StrictJSON.decode(PolicyLine.self, from: bytes), line.v == 1,
                line.event == nil, line.today == nil, let policy = line.policy,
                // A member that is not known could be a limit.
                (try? StrictJSON.encode(line)).map({ Array($0.utf8) }) == Array(bytes),
                policies.updateValue(policy, forKey: line.name) == nil
            else { throw Damage(line: index + 1) }
        }
    }

    var encoded: Data {
        var text = ""
        for (name, policy) in all {
            var line = PolicyLine(name, policy)
            line.v = 1
            guard let json = try? StrictJSON.encode(line) else { continue }
            text += json + "\n"
        }
        return Data(text.utf8)
    }
}
