// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import TransferBroker
import WSProtocol

/// Finds out whether a login or a registration holds.
struct LoginVerifier: Sendable {
    let directory: any UserDirectory
    /// The Host field of the connection's upgrade request.
    let audience: String
    /// Hears what operators let a user do whose login holds.
    var limits: LimitControl
    /// What bounds new names where they take no invitation; else the operator does, who makes invitations.
    var openRegistration: OpenRegistration?

    /// Checks the signature, then the registry. A fault of the registry is `unavailable`, never a refusal for good.
    func verdict(on attempt: LoginAttempt) async -> LoginVerdict {
        // The signature first: a client without the key cannot make the registry do anything.
        guard isSigned(attempt) else { return .refused(.loginRefused) }
        do {
            let verdict =
                switch attempt.purpose {
                case .login: try await login(attempt.user)
                case .register: try await register(attempt)
                }
            guard verdict == .accepted else { return verdict }
            // After the key: only the user learns it.
            let account = try await directory.account(of: attempt.credentials.name)
            guard account.disabled == nil else { return .refused(.accountDisabled) }
            limits.learned(attempt.credentials.name, account.limits)
            return .accepted
        } catch let error as ClusterUnavailable {
            return .refused(error.code)
        } catch {
            return .refused(.unavailable)
        }
    }

    private func isSigned(_ attempt: LoginAttempt) -> Bool {
        let credentials = attempt.credentials
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: credentials.key.bytes) else {
            return false
        }
        let signed = Credentials.signedBytes(
            purpose: attempt.purpose, audience: audience, name: credentials.name, nonce: attempt.nonce
        )
        return key.isValidSignature(credentials.signature.bytes, for: signed)
    }

    private func login(_ latest: User) async throws -> LoginVerdict {
        // An unknown name and another key look the same from outside.
        guard let user = try await directory.user(named: latest.name), user.key == latest.key else {
            return .refused(.loginRefused)
        }
        // Nearly every login brings what is there already.
        if user.updated(by: latest) != user {
            // The name may have been removed a moment ago.
            guard try await directory.update(latest) else { return .refused(.loginRefused) }
        }
        return .accepted
    }

    private func register(_ attempt: LoginAttempt) async throws -> LoginVerdict {
        let credentials = attempt.credentials
        guard let openRegistration,
            try await directory.user(named: credentials.name)?.key != credentials.key
        else { return try await registered(attempt) }
        guard openRegistration.take(credentials.name) else {
            let reason = "the network you come from has registered as many names as it may today"
            return .refused(.registrationClosed, because: "\(reason): try again tomorrow, or ask the relay's operator")
        }
        var isRegistered = false
        defer { if !isRegistered { openRegistration.names.giveBack(openRegistration.address) } }
        let verdict = try await registered(attempt)
        isRegistered = verdict == .accepted
        return verdict
    }

    private func registered(_ attempt: LoginAttempt) async throws -> LoginVerdict {
        switch try await directory.register(attempt.user, invitation: attempt.invitation) {
        case .registered: return .accepted
        case .nameTaken: return .refused(.nameTaken)
        case .badInvitation: return .refused(.badInvitation)
        case .closed: return .refused(.registrationClosed)
        }
    }
}

/// What bounds the names that the clients of an address register without invitations.
struct OpenRegistration: Sendable {
    let names: NewNames
    let reports: LimitReports
    /// What the client's address is counted under.
    let address: String?

    /// Takes one of the names that the address may register. False when there is none left.
    func take(_ name: PeerName) -> Bool {
        if names.take(address, now: .now()) { return true }
        reports.met(Limit(.names, of: .address), name: name, address: address)
        return false
    }
}
