// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import TransferClient
import WSProtocol

/// Makes a name on a relay one's own, and asks for an invitation when the relay wants one.
struct Registration: Sendable {
    let connector: ControlConnector
    /// How to ask the person for a line that is not shown; nil without a terminal. Called only where that is needed.
    let prompt: @Sendable () -> (@Sendable (String) async -> String?)?

    /// Makes the name ours, or finds that it is.
    ///
    /// - Parameter invitation: what the person has given already.
    func register(_ invitation: InvitationCode?) async throws(ClientError) {
        do throws(ClientError) {
            try await attempt(invitation)
        } catch {
            guard case .connection(let refusal) = error, refusal.code == .badInvitation, invitation == nil else {
                throw error
            }
            // The relay wants an invitation: the name is new. A question takes longer than a login may.
            try await attempt(try await askForInvitation())
        }
    }

    private func attempt(_ invitation: InvitationCode?) async throws(ClientError) {
        try await connector.logIn(.register(invitation)).close()
    }

    private func askForInvitation() async throws(ClientError) -> InvitationCode {
        let (relay, name) = (connector.relay, connector.identity.name)
        guard let ask = prompt() else {
            throw .command(
                "\(relay) wants an invitation for a new name; give --invite CODE or RELAY_INVITE", .refused
            )
        }
        let answer = try await connector.interrupt.bounded { () async throws(ClientError) in
            await ask("Invitation for \(name) on \(relay):")
        }
        guard let code = answer.flatMap({ InvitationCode(rawValue: Pasted.trimmed($0)) }) else {
            throw .command("that is not an invitation; copy all of its code", .refused)
        }
        return code
    }
}
