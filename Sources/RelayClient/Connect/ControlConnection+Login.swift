// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// How to prove who we are.
enum LoginMode: Sendable {
    /// The name is ours already.
    case login
    /// The name is to become ours.
    case register(InvitationCode?)
}

extension ControlConnection {
    /// Connects, upgrades and logs in.
    ///
    /// - Returns: a connection whose messages begin behind `welcome`.
    static func open(
        _ relay: RelayURL, dialer: Dialer, identity: Identity, mode: LoginMode = .login
    ) async throws(ConnectionError) -> ControlConnection {
        let connection = try await upgrade(relay, dialer: dialer)
        do {
            let challenge = try await connection.challenge()
            let welcome = try await connection.logIn(identity, challenge: challenge, mode: mode)
            dialer.observer(.login, "as \(welcome.name)")
            return connection
        } catch {
            connection.abort()
            throw error
        }
    }

    private func challenge() async throws(ConnectionError) -> ServerMessage.Challenge {
        guard case .challenge(let challenge) = try await answer() else { throw unexpected() }
        return challenge
    }

    private func logIn(
        _ identity: Identity, challenge: ServerMessage.Challenge, mode: LoginMode
    ) async throws(ConnectionError) -> ServerMessage.Welcome {
        let id = nextID()
        let purpose: Credentials.Purpose
        switch mode {
        case .login: purpose = .login
        case .register: purpose = .register
        }
        let made = try? identity.credentials(
            purpose: purpose, audience: relay.endpoint.authority.lowercased(), nonce: challenge.nonce
        )
        guard let credentials = made else {
            throw ConnectionError(
                .login, "the profile's key cannot sign", advice: "restore the profile from a copy, or log in anew",
                status: .configuration
            )
        }
        switch mode {
        case .login: try await send(.login(.init(id: id, credentials: credentials)))
        case .register(let invitation):
            try await send(.register(.init(id: id, credentials: credentials, invitation: invitation)))
        }
        switch try await answer() {
        case .welcome(let welcome) where welcome.id == id: return welcome
        case .error(let refusal): throw ConnectionError(refused: refusal.code, name: identity.name, relay: relay)
        case .challenge, .welcome, .ok, .peer, .offered, .ring, .start, .progress, .delivered, .failed, .pong:
            throw unexpected()
        }
    }

    /// The next message, within the time a login has.
    private func answer() async throws(ConnectionError) -> ServerMessage {
        let lost = ConnectionError(closed: nil, reason: .lost, relay: relay)
        do {
            if let message = try await nextOfLogin() { return message }
        } catch {
            throw ((error as? ConnectionError) ?? lost).duringLogin
        }
        throw lost.duringLogin
    }

    private func unexpected() -> ConnectionError {
        ConnectionError(
            .login, "\(relay) broke the protocol at login", advice: "check that it is a relay of this version",
            status: .protocolBreach
        )
    }
}
