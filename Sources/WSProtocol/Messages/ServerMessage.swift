// SPDX-License-Identifier: Apache-2.0

/// A message from the relay to a client. The cases and the structs below are the registry of everything a relay may
/// say; `docs/wire-protocol.md` has an example of each.
package enum ServerMessage: Hashable, Sendable {
    case challenge(Challenge)
    case welcome(Welcome)
    case ok(Ok)
    case peer(Peer)
    case offered(Offered)
    case ring(Ring)
    case start(Start)
    case progress(Progress)
    case note(Note)
    case delivered(Delivered)
    case failed(Failed)
    case requested(Requested)
    case refused(Refused)
    case move(Move)
    case pong(Pong)
    case error(Refusal)

    /// The `type` field of a message.
    package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
        case challenge, welcome, ok, peer, offered, ring, start, progress, note, delivered, failed
        case requested, refused, move, pong, error
    }

    /// The transfer that it is about; nil when it names none.
    package var transfer: TransferID? {
        switch self {
        case .offered(let offered): offered.transfer
        case .ring(let ring): ring.transfer
        case .start(let start): start.transfer
        case .progress(let progress): progress.transfer
        case .note(let note): note.transfer
        case .delivered(let delivered): delivered.transfer
        case .failed(let failed): failed.transfer
        case .challenge, .welcome, .ok, .peer, .requested, .refused, .move, .pong, .error: nil
        }
    }

    /// The first message of every connection.
    package struct Challenge: Codable, Hashable, Sendable {
        package var id: RequestID
        package var nonce: Nonce
        /// The relay's program and version.
        package var agent: Label
        package var registration: Registration

        package init(id: RequestID, nonce: Nonce, agent: Label, registration: Registration) {
            self.id = id
            self.nonce = nonce
            self.agent = agent
            self.registration = registration
        }
    }

    /// Who may register a new name.
    package enum Registration: String, Codable, Hashable, Sendable, CaseIterable {
        case invite, open, closed
    }

    /// Answers `login` and `register`: the session is open.
    package struct Welcome: Codable, Hashable, Sendable {
        package var id: RequestID
        package var name: PeerName
        /// The relay's name for this connection, for logs on both sides.
        package var session: Label
        /// Seconds between pings in either direction.
        package var heartbeat: Int

        package init(id: RequestID, name: PeerName, session: Label, heartbeat: Int) {
            self.id = id
            self.name = name
            self.session = session
            self.heartbeat = heartbeat
        }
    }

    /// Answers a request that has no other answer.
    package struct Ok: Codable, Hashable, Sendable {
        package var id: RequestID

        package init(id: RequestID) {
            self.id = id
        }
    }

    /// Answers `lookup`.
    package struct Peer: Codable, Hashable, Sendable {
        package var id: RequestID
        package var name: PeerName
        package var key: SigningKey
        /// Whether at least one session of that name is receiving.
        package var online: Bool
        /// What to seal offers to; nil when no client of that user has published one.
        package var prekey: PublishedPrekey?

        package init(
            id: RequestID, name: PeerName, key: SigningKey, online: Bool,
            prekey: PublishedPrekey? = nil
        ) {
            self.id = id
            self.name = name
            self.key = key
            self.online = online
            self.prekey = prekey
        }
    }

    /// Answers `offer`, and comes again, with the same id, whenever the state changes.
    package struct Offered: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var state: State

        /// How far an offer is.
        package enum State: String, Codable, Hashable, Sendable, CaseIterable {
            /// No session of that name is receiving; the offer waits.
            case waiting
            /// At least one session has been rung.
            case ringing
            /// A session has accepted; a `start` follows once the receiver's stream is attached.
            case accepted
        }

        package init(id: RequestID, transfer: TransferID, state: State) {
            self.id = id
            self.transfer = transfer
            self.state = state
        }
    }

    /// Offers a transfer to a receiving session, or to the one whose request it answers.
    package struct Ring: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var from: PeerName
        package var key: SigningKey
        package var payload: Payload
        /// The request of this session that it answers.
        package var request: PullRequestID?

        package init(
            id: RequestID, transfer: TransferID, from: PeerName, key: SigningKey,
            payload: Payload, request: PullRequestID? = nil
        ) {
            self.id = id
            self.transfer = transfer
            self.from = from
            self.key = key
            self.payload = payload
            self.request = request
        }
    }

    /// Gives one side its token: the receiver as the answer to `accept`, the sender under the id of its `offer`.
    package struct Start: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var role: TransferRole
        package var token: Token
        /// Where to go: a URI reference, resolved against the relay's URL (RFC 3986, section 5).
        package var url: String
        /// Seconds until the token can no longer be claimed.
        package var expires: Int
        /// The payload of the receiver's `accept`; only on the sender's side.
        package var payload: Payload?
        /// Bytes a second that the relay moves of all transfers of this user together; nil without a limit.
        package var rate: Int64?

        package init(
            id: RequestID, transfer: TransferID, role: TransferRole, token: Token, url: String, expires: Int,
            payload: Payload? = nil, rate: Int64? = nil
        ) {
            self.rate = rate
            self.id = id
            self.transfer = transfer
            self.role = role
            self.token = token
            self.url = url
            self.expires = expires
            self.payload = payload
        }
    }

    /// The receiver's count of bytes.
    package struct Progress: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var bytes: UInt64

        package init(id: RequestID, transfer: TransferID, bytes: UInt64) {
            self.id = id
            self.transfer = transfer
            self.bytes = bytes
        }
    }

    /// What the other client of a transfer has to say: to the sender under the id of its `offer`.
    package struct Note: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var payload: Payload

        package init(id: RequestID, transfer: TransferID, payload: Payload) {
            self.id = id
            self.transfer = transfer
            self.payload = payload
        }
    }

    /// The receiver's word that everything is verified and stored.
    package struct Delivered: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var payload: Payload

        package init(id: RequestID, transfer: TransferID, payload: Payload) {
            self.id = id
            self.transfer = transfer
            self.payload = payload
        }
    }

    /// A transfer, or a ring, is over.
    package struct Failed: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var code: FailureCode
        package var by: Party

        /// Who found out, or decided, that it is over.
        package enum Party: String, Codable, Hashable, Sendable, CaseIterable {
            case peer, relay
        }

        package init(id: RequestID, transfer: TransferID, code: FailureCode, by: Party) {
            self.id = id
            self.transfer = transfer
            self.code = code
            self.by = by
        }
    }

    /// Brings a request to a sharing session.
    package struct Requested: Codable, Hashable, Sendable {
        package var id: RequestID
        package var request: PullRequestID
        package var from: PeerName
        package var key: SigningKey
        package var payload: Payload

        package init(
            id: RequestID, request: PullRequestID, from: PeerName, key: SigningKey,
            payload: Payload
        ) {
            self.id = id
            self.request = request
            self.from = from
            self.key = key
            self.payload = payload
        }
    }

    /// A sharing session will not answer a request of this session with an offer. Others may.
    package struct Refused: Codable, Hashable, Sendable {
        package var id: RequestID
        package var request: PullRequestID
        package var code: FailureCode

        package init(id: RequestID, request: PullRequestID, code: FailureCode) {
            self.id = id
            self.request = request
            self.code = code
        }
    }

    /// This session ends before long: the client opens another one, and closes this one then.
    package struct Move: Codable, Hashable, Sendable {
        package var id: RequestID
        /// Seconds until the relay closes this session, unless a transfer of it still runs.
        package var deadline: Int

        package init(id: RequestID, deadline: Int) {
            self.id = id
            self.deadline = deadline
        }
    }

    /// Answers `ping`.
    package struct Pong: Codable, Hashable, Sendable {
        package var id: RequestID

        package init(id: RequestID) {
            self.id = id
        }
    }

    /// Refuses a request; nothing has changed.
    package struct Refusal: Codable, Hashable, Sendable {
        package var id: RequestID
        package var code: FailureCode
        /// What happened, for a user.
        package var message: String

        package init(id: RequestID, code: FailureCode, message: String) {
            self.id = id
            self.code = code
            self.message = message
        }
    }

    /// The message's `type` field.
    package var kind: Kind {
        switch self {
        case .challenge: .challenge
        case .welcome: .welcome
        case .ok: .ok
        case .peer: .peer
        case .offered: .offered
        case .ring: .ring
        case .start: .start
        case .progress: .progress
        case .note: .note
        case .delivered: .delivered
        case .failed: .failed
        case .requested: .requested
        case .refused: .refused
        case .move: .move
        case .pong: .pong
        case .error: .error
        }
    }
}

extension ServerMessage: Codable {
    package init(from decoder: any Decoder) throws {
        switch try decoder.container(keyedBy: TypeKey.self).decode(Kind.self, forKey: .type) {
        case .challenge: self = .challenge(try Challenge(from: decoder))
        case .welcome: self = .welcome(try Welcome(from: decoder))
        case .ok: self = .ok(try Ok(from: decoder))
        case .peer: self = .peer(try Peer(from: decoder))
        case .offered: self = .offered(try Offered(from: decoder))
        case .ring: self = .ring(try Ring(from: decoder))
        case .start: self = .start(try Start(from: decoder))
        case .progress: self = .progress(try Progress(from: decoder))
        case .note: self = .note(try Note(from: decoder))
        case .delivered: self = .delivered(try Delivered(from: decoder))
        case .failed: self = .failed(try Failed(from: decoder))
        case .requested: self = .requested(try Requested(from: decoder))
        case .refused: self = .refused(try Refused(from: decoder))
        case .move: self = .move(try Move(from: decoder))
        case .pong: self = .pong(try Pong(from: decoder))
        case .error: self = .error(try Refusal(from: decoder))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: TypeKey.self)
        try container.encode(kind, forKey: .type)
        switch self {
        case .challenge(let message): try message.encode(to: encoder)
        case .welcome(let message): try message.encode(to: encoder)
        case .ok(let message): try message.encode(to: encoder)
        case .peer(let message): try message.encode(to: encoder)
        case .offered(let message): try message.encode(to: encoder)
        case .ring(let message): try message.encode(to: encoder)
        case .start(let message): try message.encode(to: encoder)
        case .progress(let message): try message.encode(to: encoder)
        case .note(let message): try message.encode(to: encoder)
        case .delivered(let message): try message.encode(to: encoder)
        case .failed(let message): try message.encode(to: encoder)
        case .requested(let message): try message.encode(to: encoder)
        case .refused(let message): try message.encode(to: encoder)
        case .move(let message): try message.encode(to: encoder)
        case .pong(let message): try message.encode(to: encoder)
        case .error(let message): try message.encode(to: encoder)
        }
    }
}

extension ServerMessage {
    /// The `error` that refuses request `id` for the reason `code`.
    ///
    /// - Parameter message: what happened, for a user; the code's own when left out.
    package static func refusal(_ id: RequestID, _ code: FailureCode, _ message: String? = nil) -> ServerMessage {
        .error(Refusal(id: id, code: code, message: message ?? code.message))
    }
}
