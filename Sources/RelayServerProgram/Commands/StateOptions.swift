// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import ServerSystem
import TransferBroker

/// Which running server a sub-command talks to.
struct StateOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "State directory of the running server (default: $XDG_STATE_HOME/relay-server; env RELAY_STATE_DIR).",
            valueName: "dir"
        )
    )
    var stateDir: String?

    @Option(
        help: ArgumentHelp(
            "Configuration file of the server (env RELAY_CONFIG; default: /etc/relay/server.json if it can be read).",
            valueName: "file"))
    var config: String?

    /// The client of that server's admin socket.
    func client() throws(OperatorError) -> AdminClient {
        let flags = stateDir.map { [Setting.stateDir: [$0]] } ?? [:]
        let reader = try SettingReader(flags: flags, file: config)
        // On a machine with the package, the running server is the package's unless another one is named.
        if !reader.hasFile, try reader.text(.stateDir) == nil,
            SystemCommand.isReadable(Defaults.Operations.configuration)
        {
            let packaged = try SettingReader(file: Defaults.Operations.configuration)
            return AdminClient(stateDirectory: try packaged.stateDirectory())
        }
        return AdminClient(stateDirectory: try reader.stateDirectory())
    }
}

extension StateOptions {
    /// Whether the server is configured to be a node of a cluster, as far as the file and the environment say.
    func isOfCluster() throws(OperatorError) -> Bool {
        try SettingReader(flags: [:], file: config).text(.redis) != nil
    }
}

/// What a sub-command was run for: its text on standard output.
enum Answer {
    /// Writes `text` and a line feed.
    /// - Throws: ``OperatorError`` when not all of it could be written: a reader must not take a part for the whole.
    static func write(_ text: String) throws(OperatorError) {
        do {
            try StandardStream.write(text + "\n")
        } catch {
            throw OperatorError(.inputOutput, "\(error)")
        }
    }
}
