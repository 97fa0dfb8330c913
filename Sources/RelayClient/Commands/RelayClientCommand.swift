// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface

/// The program.
@main
struct RelayClientCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay-client",
        abstract: "Sends files to people behind any NAT, through a relay that keeps nothing.",
        discussion: """
            Examples:
              relay-client login https://relay.example.com --name alice
              relay-client receive --output ~/Downloads
              relay-client send bob report.pdf
              relay-client doctor

            Exit statuses: 0 done; 64 usage; 65 what arrived is not what was sent; 66 the input cannot be read; 69 relay or \
            peer not reachable, or gone; 73 the output cannot be created; 74 reading or writing failed, standard output included, or no room; \
            75 gave up waiting or retrying; 76 protocol error; 77 refused or not allowed; 78 configuration; 130 interrupted.
            """,
        version: "relay-client \(ClientAgent.version)",
        subcommands: [
            LoginCommand.self, SendCommand.self, ReceiveCommand.self, WhoamiCommand.self, DoctorCommand.self,
        ]
    )

    /// Runs the program with the command line's arguments.
    static func main() async {
        // Before anything here changes them.
        _ = InheritedSignals.ignored
        StandardStream.secure()
        do {
            let arguments = ArgumentOrder.commandFirst(Array(CommandLine.arguments.dropFirst()))
            try await Program.run(Self.self, arguments: arguments) { line in
                DisplayName.line(line) + hint(line, arguments)
            }
        } catch {
            exit(withError: error)
        }
    }

    /// What may be meant by an option that `send` does not have.
    private static func hint(_ line: String, _ arguments: [String]) -> String {
        guard arguments.first == "send", line.hasPrefix("Error: Unknown option '-"), !line.contains("Did you mean")
        else { return "" }
        return "; a file whose name begins with - is written ./-name"
    }
}
