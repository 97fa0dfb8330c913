// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
private import CLinux
import CommandLineInterface

/// The program.
package struct RelayClientCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "relay-client",
        abstract: "Send and receive files and folders through a relay, from behind any NAT or firewall.",
        discussion: """
            Both sides connect to the relay, which passes the bytes on, can read none of them, and keeps none.

            Examples:
              relay-client login https://relay.example.com --name alice
              relay-client receive --output ~/Downloads
              relay-client send bob report.pdf
              relay-client share ~/Public --with bob
              relay-client list alice
              relay-client fetch alice report.pdf
              relay-client doctor

            Each option can be given by a variable as well, and the command line wins: RELAY_, the command and the \
            option, such as RELAY_SEND_TIMEOUT=1h or RELAY_RECEIVE_YES=1; those of all commands without the command, \
            such as RELAY_PROFILE.

            Exit status:
              0    done
              64   wrong command line
              65   received data failed verification
              66   the input cannot be read
              69   relay or peer unreachable, or gone
              73   the output cannot be created
              74   reading or writing failed, or no space is left
              75   gave up waiting or retrying
              76   protocol error
              77   refused or not permitted
              78   wrong configuration
              130  interrupted
            """,
        version: "relay-client \(ClientAgent.version)",
        subcommands: [
            LoginCommand.self, SendCommand.self, ReceiveCommand.self, ShareCommand.self, ListCommand.self,
            FetchCommand.self, TransfersCommand.self, PeersCommand.self, ServiceCommand.self, WhoamiCommand.self,
            DoctorCommand.self, CompletionsCommand.self,
        ]
    )

    package init() {}

    /// To be called first, before a thread is started: the runtime's own descriptors take the numbers of streams that
    /// the caller has closed.
    package static func prepare() {
        // Before anything here changes them.
        _ = InheritedSignals.ignored
        StandardStream.secure()
        // They would hold keys, and what is sent. The limit of core files stays as it is, for what `--exec` runs.
        _ = CLinux_set_not_dumpable()
        CLinux_keep_memory(Defaults.keptMemory, Defaults.largestKeptBlock)
    }

    /// Runs the program with the command line's arguments.
    package static func main() async {
        do {
            let arguments = ArgumentOrder.commandFirst(
                Array(CommandLine.arguments.dropFirst()), of: configuration.subcommands)
            let given = EnvironmentOptions(arguments, Environment.current.variables) { ToolDescription(of: Self.self) }
            let remark = given.remark
            try await Program.run(Self.self, arguments: arguments) { _ in
                if let mistake = given.mistake { throw ValidationError(mistake) }
                return given.arguments
            } shown: { line in
                DisplayName.line(line) + hint(line, arguments) + (line.hasPrefix("Error: ") ? remark : "")
            }
        } catch {
            exit(withError: error)
        }
    }

    /// What may be meant by an option that `send` does not have, or `transfers`.
    private static func hint(_ line: String, _ arguments: [String]) -> String {
        guard line.hasPrefix("Error: Unknown option '-"), !line.contains("Did you mean") else { return "" }
        switch arguments.first {
        case "send": return "; a file whose name begins with - is written ./-name"
        case "transfers": return "; an ID that begins with - stands behind --"
        default: return ""
        }
    }
}

/// Lets the global options stand before the command as well as behind it: `relay-client --json send …`, `relay-client
/// peers --json list`.
///
/// The argument parser knows an option only behind the command that declares it, so those that come first are moved.
enum ArgumentOrder {
    private static let withValue = Set(GlobalOptions.withValue.map { "--" + $0 })
    private static let flags = Set(GlobalOptions.flags.map { "--" + $0 })

    /// `arguments` with the global options that stand before the words of the command put right behind these.
    ///
    /// - Parameter commands: what may stand first; further words belong to the command if it has commands of its own.
    static func commandFirst(_ arguments: [String], of commands: [any ParsableCommand.Type]) -> [String] {
        var rest = arguments[...]
        var (moved, words, next) = ([String](), [String](), commands)
        while !next.isEmpty || words.isEmpty {
            let options = options(&rest)
            moved += options
            guard let word = rest.first, !word.hasPrefix("-") else { break }
            // A mistyped one, too: for it, it is told what was meant.
            words.append(word)
            rest.removeFirst()
            next = next.first { $0.configuration.commandName == word }?.configuration.subcommands ?? []
        }
        return words.isEmpty ? arguments : words + moved + rest
    }

    /// Takes the global options from the beginning of `rest`.
    private static func options(_ rest: inout ArraySlice<String>) -> [String] {
        var taken: [String] = []
        while let argument = rest.first {
            if flags.contains(argument) || withValue.contains(where: { argument.hasPrefix($0 + "=") }) {
                taken.append(argument)
                rest.removeFirst()
            } else if withValue.contains(argument), rest.count > 1 {
                taken += rest.prefix(2)
                rest.removeFirst(2)
            } else {
                break
            }
        }
        return taken
    }
}
