// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import CommandLineInterface
import Glibc
import ServerSystem
import WSProtocol

/// The command line of `relay-server`.
package struct RelayServerCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "relay-server",
        abstract: "Relay files between clients behind NATs and firewalls; all connections are made by the clients.",
        discussion: """
            Set up a relay on a machine with the package installed:
              relay-server setup --public-name relay.example.com
            Start a relay by hand:
              certs/make relay.example.com
              relay-server --tls-cert certs/out/server.pem --tls-key certs/out/server.key

            Invite a user, in another terminal on the same machine:
              relay-server invite alice
            The user registers with the code that this prints, once:
              relay-client login https://relay.example.com:8443 --name alice --invite CODE

            Every setting is a flag of `serve`, a variable RELAY_* and a key of the --config file. Precedence: flags, \
            then variables, then the file. `relay-server check` validates all of them.

            Exit codes: 0 done; 64 wrong command line; 65 a copy is damaged; 66 a file cannot be read; 69 no server runs, or a port or the state directory is in use; \
            73 a file cannot be made; 74 reading or writing failed; 76 another version runs; 77 refused; \
            78 wrong configuration.
            """,
        version: "relay-server \(ProgramVersion.current)",
        subcommands: [
            ServeCommand.self, InviteCommand.self, UsersCommand.self, SessionsCommand.self, TransfersCommand.self,
            StatusCommand.self, TopCommand.self, DrainCommand.self, ReloadCommand.self, RestartCommand.self,
            BackupCommand.self, RestoreCommand.self, MigrateCommand.self, CheckCommand.self, SetupCommand.self,
        ],
        defaultSubcommand: ServeCommand.self
    )

    package init() {}

    /// To be called first, before a thread is started: the runtime's own descriptors take the numbers of streams that
    /// the caller has closed.
    package static func prepare() {
        StandardStream.secure()
        StartReport.claim()
    }

    /// Puts the id of a transfer that begins with a dash, as one of 64 does, behind `--`: it would be an option.
    static func separated(_ arguments: [String]) -> [String] {
        guard arguments.first == "transfers", !arguments.contains("--"),
            let index = arguments.firstIndex(where: { $0.hasPrefix("-") && TransferID(rawValue: $0) != nil })
        else { return arguments }
        var rest = arguments
        let id = rest.remove(at: index)
        return rest + ["--", id]
    }

    /// Runs the command line's command, and turns what it throws into one line and an exit code.
    package static func main() async {
        do {
            let arguments = separated(Array(CommandLine.arguments.dropFirst()))
            try await Program.run(Self.self, arguments: arguments) { TextEscape.escape($0) }
        } catch let error as OperatorError {
            LogSink.standardError.write("relay-server: \(error)\n")
            Glibc.exit(error.status.rawValue)
        } catch {
            exit(withError: error)
        }
    }
}
