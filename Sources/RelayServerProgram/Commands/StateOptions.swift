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
        AdminClient(stateDirectory: try settings().stateDirectory())
    }

    /// The settings of that server, as far as files and the environment say.
    private func settings() throws(OperatorError) -> SettingReader {
        let flags = stateDir.map { [Setting.stateDir: [$0]] } ?? [:]
        let named = try SettingReader(flags: flags, file: config)
        guard !named.hasFile, SystemCommand.isReadable(Defaults.Operations.configuration) else { return named }
        // On a machine with the package, the server is the package's unless another one is named.
        let directory = try named.text(.stateDir)?.value
        let packaged = try SettingReader(flags: flags, file: Defaults.Operations.configuration)
        guard let directory else { return packaged }
        let own = try SettingReader(file: Defaults.Operations.configuration, environment: [:]).text(.stateDir)?.value
        return directory == own ? packaged : named
    }
}

extension StateOptions {
    /// Whether the server is configured to be a node of a cluster, as far as the file and the environment say.
    func isOfCluster() throws(OperatorError) -> Bool {
        try settings().text(.redis) != nil
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
