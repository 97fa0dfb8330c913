// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// A file that has arrived, for the command of `--exec`.
struct FinishedFile: Hashable, Sendable {
    let path: String
    let from: PeerName
    let size: UInt64
    let transfer: TransferID

    /// What the command finds in its environment besides this process's own. Names and paths reach it in no other way:
    /// nothing of them is ever part of a command line.
    var variables: [String: String] {
        [
            "RELAY_FILE": path, "RELAY_FROM": from.rawValue, "RELAY_SIZE": "\(size)",
            "RELAY_TRANSFER": transfer.rawValue,
        ]
    }

    /// Runs `command` with `/bin/sh -c`, its input empty and its output on standard error.
    ///
    /// - Returns: what went wrong, as a sentence; nil after a status of 0.
    func run(_ command: String) async -> String? {
        let variables = Environment.current.variables.merging(variables) { _, own in own }
        let status = try? await BlockingWork.commands.run { ShellCommand.run(command, environment: variables) }
        switch status {
        case .some(0): return nil
        case .some(let status) where status > 0: return "the command of --exec ended with status \(status)"
        default: return "the command of --exec could not be run to its end"
        }
    }
}
