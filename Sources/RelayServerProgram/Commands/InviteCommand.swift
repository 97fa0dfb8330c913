// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// `relay-server invite`
struct InviteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invite",
        abstract: "Print single-use invitation codes.",
        discussion: """
            Examples:
              relay-server invite                       good for any one name, for 24 hours
              relay-server invite alice --expires 7d    good for the name alice only, for a week
              relay-server invite --count 20 --note 'course of May' > codes

            The codes are the only thing on standard output. The relay keeps no copy: if one is lost, make another. Codes \
            that cannot be printed are revoked.
            """
    )

    @Argument(
        help: "The only name the code is good for; any name if left out.", transform: { try PeerName.argument($0) })
    var name: PeerName?

    @Option(
        help: ArgumentHelp("How long the code is good for: 90s, 30m, 24h, 7d; at most 366d.", valueName: "time"),
        transform: { try lifetime($0) }
    )
    var expires = TimeSpan(milliseconds: Defaults.Operations.invitationLifetime * 1000)

    @Option(help: ArgumentHelp("How many codes to make, one a line; each is good once.", valueName: "n"))
    var count = 1

    @Option(
        help: ArgumentHelp(
            "Note on the code: `users show` prints it for the user who has used the code.", valueName: "text"))
    var note: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var state: StateOptions

    private static func lifetime(_ text: String) throws -> TimeSpan {
        let span = try TimeSpan(text)
        guard (1...Defaults.Users.maximumInvitationLifetime).contains(span.milliseconds / 1000) else {
            throw ValidationError("an invitation is good for 1s at least and 366d at most")
        }
        return span
    }

    func run() async throws {
        let client = try state.client()
        var made = 0
        for _ in 0..<count {
            let until = try await make(client, after: made)
            made += 1
            if made == count {
                let codes = count == 1 ? "good once" : "\(count) codes, each good once"
                LogSink.standardError.write("\(codes), for \(name?.rawValue ?? "any name"), until \(until)\n")
            }
        }
    }

    /// Makes and prints one; returns until when it is good.
    private func make(_ client: AdminClient, after made: Int) async throws(OperatorError) -> LogTime {
        let reply = try await client.ask(.invite(name: name, lifetime: expires.milliseconds / 1000, note: note))
        guard case .invited(let code, let expires) = reply else { throw AdminClient.unexpected }
        let until = LogTime(seconds: Int(clamping: expires.seconds), milliseconds: 0)
        do {
            try output.write(["code": code.rawValue, "expires": "\(until)"]) { code.rawValue }
        } catch {
            // An invitation that the operator does not have must not be good for any other user.
            guard case .withdrawn? = try? await client.ask(.withdraw(code: code)) else {
                throw OperatorError(error.status, "\(error.message); the invitation stays good until \(until)")
            }
            throw OperatorError(error.status, "\(error.message); the invitation was taken back: make another")
        }
        return until
    }

    func validate() throws {
        guard (1...Defaults.Admin.mostInvitations).contains(count) else {
            throw ValidationError("--count goes from 1 to \(Defaults.Admin.mostInvitations)")
        }
        let isPlain = note?.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F } ?? true
        guard isPlain, note?.utf8.count ?? 0 <= Defaults.Limits.noteBytes else {
            throw ValidationError("a note is one line of \(Defaults.Limits.noteBytes) bytes at most")
        }
    }
}
