// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// A file that has arrived, for the command of `--exec`.
struct FinishedFile: Sendable {
    let content: StoredContent
    let from: PeerName
    let size: UInt64
    let transfer: TransferID

    /// What the command finds in its environment besides this process's own, the file being at `path`. Names and paths
    /// reach it in no other way: nothing of them is ever part of a command line.
    func variables(path: String) -> [String: String] {
        [
            "RELAY_FILE": path, "RELAY_FROM": from.rawValue, "RELAY_SIZE": "\(size)",
            "RELAY_TRANSFER": transfer.rawValue,
        ]
    }

    /// Runs `command`. It may have waited for its turn: the path is the one that the file has when it begins.
    ///
    /// - Returns: what went wrong, as a sentence; nil after a status of 0.
    func run(_ command: String) async -> String? {
        let status: Int32?? = try? await BlockingWork.commands.run {
            guard let path = content.currentPath() else { return nil }
            let variables = Environment.current.variables.merging(variables(path: path)) { _, own in own }
            return ShellCommand.run(command, environment: variables)
        }
        switch status {
        case .some(.none):
            return "the command of --exec was not run: \"\(DisplayName.escape(content.path))\" is not there any more"
        case .some(.some(0)): return nil
        case .some(.some(let status)) where status > 0: return "the command of --exec ended with status \(status)"
        case .some(.some), .none: return "the command of --exec could not be run to its end"
        }
    }
}
