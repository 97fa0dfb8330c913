// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import WSProtocol

/// Somebody who wants a name: registers, and asks for an invitation when the relay wants one.
struct Entrant: Sendable {
    let relay: RelayURL
    let dialer: Dialer
    let identity: Identity
    let client: Client

    /// Makes the name ours, or finds that it is.
    ///
    /// - Parameter invitation: what the person has given already.
    /// - Throws: ``ConnectionError``, ``CommandError``, or `CancellationError`.
    func register(_ invitation: InvitationCode?) async throws {
        do {
            try await attempt(invitation)
        } catch let error as ConnectionError where error.code == .badInvitation && invitation == nil {
            // The relay wants an invitation: the name is new. A question takes longer than a login may.
            try await attempt(try await ask())
        }
    }

    private func attempt(_ invitation: InvitationCode?) async throws {
        let connection = try await client.interruption.bounded {
            try await ControlConnection.open(relay, dialer: dialer, identity: identity, entrance: .register(invitation))
        }
        await connection.close()
    }

    private func ask() async throws -> InvitationCode {
        guard let prompt = Prompt(reporter: client.reporter) else {
            throw CommandError(
                "\(relay) wants an invitation for a new name; give --invite CODE or RELAY_INVITE", status: .refused
            )
        }
        let answer = try await client.interruption.bounded {
            await prompt.askSecret("Invitation for \(identity.name) on \(relay):")
        }
        guard let code = answer.flatMap({ InvitationCode(rawValue: Pasted.trimmed($0)) }) else {
            throw CommandError("that is not an invitation; copy all of its code", status: .refused)
        }
        return code
    }
}
