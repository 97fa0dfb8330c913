// SPDX-License-Identifier: Apache-2.0

import TransferClient
import WSProtocol

/// A policy as one JSON object: in the profile, with `v`, and for programs, with `event` and what has come today.
struct PolicyLine: Codable {
    var v: Int?
    var event: String?
    let name: PeerName
    let answer: SenderPolicy.Answer
    let folder: String?
    let maxSize: UInt64?
    let maxDay: UInt64?
    var today: UInt64?
    let exec: String?
    let execShell: String?

    private enum CodingKeys: String, CodingKey {
        case v, event, name, answer, folder, today, exec
        case maxSize = "max_size"
        case maxDay = "max_day"
        case execShell = "exec_shell"
    }

    init(_ name: PeerName, _ policy: SenderPolicy) {
        (self.name, answer, folder) = (name, policy.answer, policy.folder)
        (maxSize, maxDay) = (policy.maximumSize, policy.maximumDay)
        let isShell = policy.command?.isShell ?? false
        exec = isShell ? nil : policy.command?.text
        execShell = isShell ? policy.command?.text : nil
    }

    /// The policy; nil when it is none that a command line can make.
    var policy: SenderPolicy? {
        guard folder.map({ $0.hasPrefix("/") }) ?? true else { return nil }
        var policy = SenderPolicy(answer, folder: folder, maximumSize: maxSize, maximumDay: maxDay)
        switch (exec, execShell) {
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
