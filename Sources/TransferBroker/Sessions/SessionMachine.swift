// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// What to do after an event of a control connection.
package enum SessionAction: Hashable, Sendable {
    case ignore
    /// Send this.
    case reply(ServerMessage)
    /// Check these credentials, then call ``SessionMachine/loginChecked(_:)``.
    case check(LoginAttempt)
    /// The login holds: announce the session, and answer this request with `welcome`.
    case admit(Credentials, RequestID)
    /// An open session asks for this.
    case pass(ClientMessage)
    /// Send the message, if there is one, then close.
    case close(WebSocketCloseCode, after: ServerMessage?)
}

/// One control connection as the relay sees it (sections 1.2 to 1.4 of the protocol): the challenge, the login with its
/// deadline, and how many messages there may be before it. How fast they may come after it is not of one connection.
package struct SessionMachine: Sendable {
    /// Where the connection is.
    package enum State: Hashable, Sendable {
        /// The challenge is out.
        case challenged(deadline: NIODeadline)
        /// Credentials came and are being checked.
        case checking(LoginAttempt, deadline: NIODeadline)
        case open(PeerName)
        case closed
    }

    package private(set) var state: State
    private var messagesBeforeLogin = 0
    private let nonce: Nonce

    /// A connection whose challenge, with `nonce`, is being sent at `now`.
    ///
    /// - Parameter loginTimeout: how long the login may take, with its check.
    package init(nonce: Nonce, loginTimeout: TimeAmount, now: NIODeadline) {
        self.nonce = nonce
        self.state = .challenged(deadline: now + loginTimeout)
    }

    /// A whole text message came.
    package mutating func messageReceived(_ message: Result<ClientMessage, MessageCodec.Malformed>) -> SessionAction {
        switch state {
        case .closed: return .ignore
        case .open: break
        case .challenged, .checking:
            messagesBeforeLogin += 1
            guard messagesBeforeLogin <= Defaults.Broker.messagesBeforeLogin else {
                state = .closed
                return .close(.policyViolation, after: nil)
            }
        }
        switch message {
        case .failure(let malformed): return .reply(.refusal(malformed.id, malformed.code))
        case .success(let message): return wellFormedReceived(message)
        }
    }

    /// The check that ``SessionAction/check(_:)`` asked for is done.
    package mutating func loginChecked(_ verdict: LoginVerdict) -> SessionAction {
        switch state {
        case .checking(let attempt, deadline: _):
            switch verdict {
            case .accepted:
                state = .open(attempt.credentials.name)
                return .admit(attempt.credentials, attempt.id)
            case .refused(let code, because: let message):
                state = .closed
                return .close(.loginFailed, after: .refusal(attempt.id, code, message))
            }
        case .challenged, .open, .closed: return .ignore
        }
    }

    /// The login's deadline may have passed. A check that is still running by then is too late too.
    package mutating func timerFired(now: NIODeadline) -> SessionAction {
        switch state {
        case .challenged(let deadline), .checking(_, let deadline):
            guard now >= deadline else { return .ignore }
            state = .closed
            return .close(.loginFailed, after: nil)
        case .open, .closed: return .ignore
        }
    }

    /// The connection is gone: whatever is still on its way comes to nothing.
    package mutating func connectionClosed() { state = .closed }

    private mutating func wellFormedReceived(_ message: ClientMessage) -> SessionAction {
        switch state {
        case .challenged(let deadline):
            guard let attempt = loginAttempt(message) else { return .reply(.refusal(message.id, .notNow)) }
            state = .checking(attempt, deadline: deadline)
            return .check(attempt)
        case .checking: return .reply(.refusal(message.id, .notNow))
        case .open:
            if loginAttempt(message) != nil { return .reply(.refusal(message.id, .notNow)) }
            if case .ping(let ping) = message { return .reply(.pong(.init(id: ping.id))) }
            return .pass(message)
        case .closed: return .ignore
        }
    }

    private func loginAttempt(_ message: ClientMessage) -> LoginAttempt? {
        switch message {
        case .login(let message):
            LoginAttempt(
                id: message.id, purpose: .login, credentials: message.credentials, nonce: nonce, prekey: message.prekey
            )
        case .register(let message):
            LoginAttempt(
                id: message.id, purpose: .register, credentials: message.credentials, nonce: nonce,
                prekey: message.prekey, invitation: message.invitation
            )
        case .presence, .lookup, .offer, .accept, .decline, .progress, .note, .delivered, .cancel, .request, .withdraw,
            .refuse, .ping:
            nil
        }
    }
}

/// A `login` or a `register` that is to be checked.
package struct LoginAttempt: Hashable, Sendable {
    /// The request to answer.
    package var id: RequestID
    package var purpose: Credentials.Purpose
    package var credentials: Credentials
    /// The challenge of this very connection, which the signature has to cover.
    package var nonce: Nonce
    /// What the user publishes, if anything.
    package var prekey: PublishedPrekey?
    package var invitation: InvitationCode?

    package init(
        id: RequestID, purpose: Credentials.Purpose, credentials: Credentials, nonce: Nonce,
        prekey: PublishedPrekey? = nil, invitation: InvitationCode? = nil
    ) {
        self.id = id
        self.purpose = purpose
        self.credentials = credentials
        self.nonce = nonce
        self.prekey = prekey
        self.invitation = invitation
    }

    /// The user whom the registry is to know once the login holds.
    package var user: User {
        User(name: credentials.name, key: credentials.key, prekey: prekey)
    }
}

/// What became of a ``LoginAttempt``.
package enum LoginVerdict: Hashable, Sendable {
    case accepted
    /// With a message for the person, where the code's own does not say what to do.
    case refused(FailureCode, because: String? = nil)
}
