// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import Glibc
import TransferClient

/// `relay-client service`
struct ServiceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "service", abstract: "Keep receive running without a terminal.", subcommands: [Print.self]
    )

    /// `relay-client service print`
    struct Print: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "print",
            abstract: "Print a systemd unit that keeps receive running for this user.",
            discussion: """
                All paths in it are absolute: it needs neither HOME nor a shell, and its profile may be moved to where \
                it can be written. The policies of peers policy say what it accepts. Arguments behind -- are those of \
                receive.

                Examples:
                  relay-client peers policy alice accept --output ~/From/alice
                  relay-client service print --output ~/Downloads >~/.config/systemd/user/relay-receive.service
                  systemctl --user enable --now relay-receive
                  relay-client service print -- --from alice --yes
                """
        )

        @OptionGroup var global: GlobalOptions

        @Option(
            help:
                "Folder to run in, and to store files in unless the sender's policy names another (default: the current one).",
            completion: .directory)
        var output = "."

        @Argument(parsing: .postTerminator, help: "Arguments of receive.")
        var arguments: [String] = []

        func validate() throws {
            if let mistake = UnexpandedHome.mistake(output, of: "--output") { throw ValidationError(mistake) }
            guard output != "-" else {
                throw ValidationError("a service has no standard output that is read: name a folder")
            }
            guard !arguments.contains("--once") else {
                throw ValidationError("a service goes on after the first transfer: leave --once out")
            }
            do {
                _ = try ReceiveCommand.parse(arguments)
            } catch {
                throw ValidationError("receive does not take this: \(ReceiveCommand.message(for: error))")
            }
        }

        func run() async throws {
            try await Client.run(global) { client in
                for line in try unit(client).split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
                    client.reporter.answer(String(line))
                }
            }
        }

        /// The text of the unit.
        func unit(_ client: Client) throws -> String {
            let profile = try client.profile()
            let isAccepting = try PolicyStore(client.directory).list().all.contains { $0.policy.answer == .accept }
            var unit = ServiceUnit(
                description: "Relay: receive as \(profile.name)", name: "relay-receive",
                command: [try Self.program(), "receive", "--profile", Self.absolute(client.directory)],
                directory: try ReceiveDirectory.open(output).path
            )
            if let server = client.server { unit.command += ["--server", try RelayURL(server).description] }
            if let authorities = client.authorities { unit.command += ["--ca", Self.absolute(authorities)] }
            unit.command += arguments
            let isTrusting = try ReceiveCommand.parse(arguments).isTrusting
            if !isAccepting, !isTrusting {
                let advice = "accepts nothing yet: relay-client peers policy NAME accept says from whom it does"
                client.reporter.report(.warning("it \(advice)"))
                unit.remarks.append("It \(advice).")
            }
            if client.environment.variables.keys.contains(where: {
                $0.lowercased().hasSuffix("s_proxy") || $0.lowercased() == "all_proxy"
            }) {
                unit.remarks.append(
                    "The proxy of this shell is not in here: systemctl --user import-environment HTTPS_PROXY")
            }
            do throws(ServiceUnit.Fault) {
                return try unit.text
            } catch {
                throw ClientError.command(
                    "\"\(DisplayName.path(error.part))\" has a control character in it, which no unit can have: use "
                        + "another place",
                    .usage
                )
            }
        }

        /// Where this program is.
        private static func program() throws -> String {
            guard let path = unsafe realpath("/proc/self/exe", nil) else {
                throw ClientError.command("/proc does not say where this program is", .inputOutput)
            }
            defer { unsafe free(path) }
            return unsafe String(cString: path)
        }

        private static func absolute(_ path: String) -> String {
            guard let resolved = unsafe realpath(path, nil) else { return path }
            defer { unsafe free(resolved) }
            return unsafe String(cString: resolved)
        }
    }
}
