// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
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

    @Argument(help: "The only name the code is good for; any name if left out.")
    var name: String?

    @Option(help: ArgumentHelp("How long the code is good for: 90s, 30m, 24h, 7d; at most 366d.", valueName: "time"))
    var expires = Lifetime(seconds: Defaults.Users.invitationLifetime)

    @OptionGroup var state: StateOptions

    func validate() throws {
        if let name { _ = try PeerName.argument(name) }
    }

    func run() async throws {
        let name = try name.map { try PeerName.argument($0) }
        let client = try state.client()
        let reply = try await client.ask(.invite(name: name, lifetime: expires.seconds))
        guard case .invited(let code, let expires) = reply else { throw AdminClient.unexpected }
        let until = LogTime(seconds: Int(clamping: expires.seconds), milliseconds: 0)
        do {
            try Answer.write(code.rawValue)
        } catch {
            // An invitation that the operator does not have must not be good for anybody else.
            guard case .withdrawn? = try? await client.ask(.withdraw(code: code)) else {
                throw OperatorError(error.status, "\(error.message); the invitation stays good until \(until)")
            }
            throw OperatorError(error.status, "\(error.message); the invitation was taken back: make another")
        }
        LogSink.standardError.write("good once, for \(name?.rawValue ?? "any name"), until \(until)\n")
    }
}

extension PeerName {
    /// A name from the command line.
    /// - Throws: ArgumentParser's `ValidationError` (exit 64) when it is not one.
    static func argument(_ text: String) throws -> PeerName {
        guard let name = PeerName(rawValue: text) else {
            throw ValidationError(
                "\"\(TextEscape.escape(text))\" is not a name: 1 to 63 of a-z 0-9 . _ -, "
                    + "beginning with a letter or digit"
            )
        }
        return name
    }
}
