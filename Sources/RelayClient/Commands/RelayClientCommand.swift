// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

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
            peer not reachable, or gone; 73 the output cannot be created; 74 reading or writing failed, or no room; \
            75 gave up waiting or retrying; 76 protocol error; 77 refused or not allowed; 78 configuration; 130 interrupted.
            """,
        version: ClientAgent.text,
        subcommands: [
            LoginCommand.self, SendCommand.self, ReceiveCommand.self, WhoamiCommand.self, DoctorCommand.self,
        ]
    )

    /// Runs the program with the command line's arguments.
    static func main() async {
        do {
            var command = try parseAsRoot(ArgumentOrder.commandFirst(Array(CommandLine.arguments.dropFirst())))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch  where exitCode(for: error) == .validationFailure {
            // The parser quotes arguments as they are, and an argument may hold anything.
            let lines = fullMessage(for: error).split(separator: "\n", omittingEmptySubsequences: false)
            let text = Array(lines.map { DisplayName.line(String($0)) + "\n" }.joined().utf8)
            _ = unsafe text.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
            exit(withError: ExitCode.validationFailure)
        } catch {
            exit(withError: error)
        }
    }
}
