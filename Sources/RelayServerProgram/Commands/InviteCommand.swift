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
        abstract: "Print a single-use invitation code.",
        discussion: """
            Examples:
              relay-server invite                       good for any one name, for 24 hours
              relay-server invite alice --expires 7d    good for the name alice only, for a week

            The code is the only thing on standard output. The relay keeps no copy: if it is lost, make another. If \
            it cannot be printed, it is taken back.
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
        let reply = try await client.ask(.invite(name: name, lifetime: expires.milliseconds / 1000))
        guard case .invited(let code, let expires) = reply else { throw AdminClient.unexpected }
        let until = LogTime(seconds: Int(clamping: expires.seconds), milliseconds: 0)
        do {
            try Answer.write(code.rawValue)
        } catch {
            // An invitation that the operator does not have must not be good for any other user.
            guard case .withdrawn? = try? await client.ask(.withdraw(code: code)) else {
                throw OperatorError(error.status, "\(error.message); the invitation stays good until \(until)")
            }
            throw OperatorError(error.status, "\(error.message); the invitation was taken back: make another")
        }
        LogSink.standardError.write("good once, for \(name?.rawValue ?? "any name"), until \(until)\n")
    }
}
