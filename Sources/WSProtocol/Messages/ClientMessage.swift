// SPDX-License-Identifier: Apache-2.0

/// A message from a client to the relay. The cases and the structs below are the registry of everything a client may
/// say; `docs/wire-protocol.md` has an example of each.
package enum ClientMessage: Hashable, Sendable {
    case login(Login)
    case register(Register)
    case presence(Presence)
    case lookup(Lookup)
    case offer(Offer)
    case accept(Accept)
    case decline(Decline)
    case progress(Progress)
    case note(Note)
    case delivered(Delivered)
    case cancel(Cancel)
    case request(Request)
    case withdraw(Withdraw)
    case refuse(Refuse)
    case ping(Ping)

    /// The `type` field of a message.
    package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
        case login, register, presence, lookup, offer, accept, decline, progress, note, delivered, cancel
        case request, withdraw, refuse, ping
    }

    /// Proves that the sender holds the key a registered name belongs to.
    package struct Login: Codable, Hashable, Sendable {
        package var id: RequestID
        package var credentials: Credentials
        /// What others are to seal to from now on; without one, the last one of that name stays.
        package var prekey: PublishedPrekey?

        package init(id: RequestID, credentials: Credentials, prekey: PublishedPrekey? = nil) {
            self.id = id
            self.credentials = credentials
            self.prekey = prekey
        }
    }

    /// Claims a name for a key; the same key may claim its name again.
    package struct Register: Codable, Hashable, Sendable {
        package var id: RequestID
        package var credentials: Credentials
        package var invitation: InvitationCode?
        /// As in ``Login``.
        package var prekey: PublishedPrekey?

        package init(
            id: RequestID, credentials: Credentials, invitation: InvitationCode? = nil, prekey: PublishedPrekey? = nil
        ) {
            self.id = id
            self.credentials = credentials
            self.invitation = invitation
            self.prekey = prekey
        }
    }

    /// Tells whether this session wants to be rung, and whether it wants to hear requests.
    package struct Presence: Codable, Hashable, Sendable {
        package var id: RequestID
        package var receiving: Bool
        /// Left out in the text when it is false.
        package var sharing: Bool

        package init(id: RequestID, receiving: Bool, sharing: Bool = false) {
            self.id = id
            self.receiving = receiving
            self.sharing = sharing
        }

        private enum CodingKeys: String, CodingKey {
            case id, receiving, sharing
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            id = try container.decode(RequestID.self, forKey: .id)
            receiving = try container.decode(Bool.self, forKey: .receiving)
            // A `null` is no way of leaving it out.
            sharing = container.contains(.sharing) ? try container.decode(Bool.self, forKey: .sharing) : false
        }

        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(id, forKey: .id)
            try container.encode(receiving, forKey: .receiving)
            if sharing { try container.encode(true, forKey: .sharing) }
        }
    }

    /// Asks for another client's public keys and whether it can be rung now.
    package struct Lookup: Codable, Hashable, Sendable {
        package var id: RequestID
        package var name: PeerName

        package init(id: RequestID, name: PeerName) {
            self.id = id
            self.name = name
        }
    }

    /// Offers a transfer. The transfer's id is the sender's choice and outlives connections and tokens.
    package struct Offer: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var to: PeerName
        /// Whether the offer may wait while no session of that name is receiving.
        package var wait: Bool
        package var payload: Payload
        /// The request that it answers: then it rings the session that has the request open, and no other, and never
        /// waits.
        package var request: PullRequestID?

        package init(
            id: RequestID, transfer: TransferID, to: PeerName, wait: Bool, payload: Payload,
            request: PullRequestID? = nil
        ) {
            self.id = id
            self.transfer = transfer
            self.to = to
            self.wait = wait
            self.payload = payload
            self.request = request
        }
    }

    /// Takes an offer; the first session to accept gets it.
    package struct Accept: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var payload: Payload

        package init(id: RequestID, transfer: TransferID, payload: Payload) {
            self.id = id
            self.transfer = transfer
            self.payload = payload
        }
    }

    /// Refuses an offer on this session.
    package struct Decline: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var code: FailureCode

        package init(id: RequestID, transfer: TransferID, code: FailureCode) {
            self.id = id
            self.transfer = transfer
            self.code = code
        }
    }

    /// The receiver's count of bytes, for the sender's eyes; the relay may drop it.
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

    /// Something for the other client of a transfer that has been accepted; either side may say it, and nothing answers
    /// it but a refusal.
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

    /// The receiver has verified, stored and named everything.
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

    /// Ends a transfer that was offered or accepted.
    package struct Cancel: Codable, Hashable, Sendable {
        package var id: RequestID
        package var transfer: TransferID
        package var code: FailureCode

        package init(id: RequestID, transfer: TransferID, code: FailureCode) {
            self.id = id
            self.transfer = transfer
            self.code = code
        }
    }

    /// Asks the sharing sessions of a name for something. The request's id is the client's choice, new for each.
    package struct Request: Codable, Hashable, Sendable {
        package var id: RequestID
        package var request: PullRequestID
        package var to: PeerName
        package var payload: Payload

        package init(id: RequestID, request: PullRequestID, to: PeerName, payload: Payload) {
            self.id = id
            self.request = request
            self.to = to
            self.payload = payload
        }
    }

    /// Wants no more answers to a request of this session.
    package struct Withdraw: Codable, Hashable, Sendable {
        package var id: RequestID
        package var request: PullRequestID

        package init(id: RequestID, request: PullRequestID) {
            self.id = id
            self.request = request
        }
    }

    /// Answers a request of `to` with the reason why there will be no offer.
    package struct Refuse: Codable, Hashable, Sendable {
        package var id: RequestID
        package var request: PullRequestID
        package var to: PeerName
        package var code: FailureCode

        package init(id: RequestID, request: PullRequestID, to: PeerName, code: FailureCode) {
            self.id = id
            self.request = request
            self.to = to
            self.code = code
        }
    }

    /// Asks for a `pong`, for clients that cannot send a WebSocket ping.
    package struct Ping: Codable, Hashable, Sendable {
        package var id: RequestID

        package init(id: RequestID) {
            self.id = id
        }
    }

    /// The message's `id` field.
    package var id: RequestID {
        switch self {
        case .login(let message): message.id
        case .register(let message): message.id
        case .presence(let message): message.id
        case .lookup(let message): message.id
        case .offer(let message): message.id
        case .accept(let message): message.id
        case .decline(let message): message.id
        case .progress(let message): message.id
        case .note(let message): message.id
        case .delivered(let message): message.id
        case .cancel(let message): message.id
        case .request(let message): message.id
        case .withdraw(let message): message.id
        case .refuse(let message): message.id
        case .ping(let message): message.id
        }
    }

    /// The message's `type` field.
    package var kind: Kind {
        switch self {
        case .login: .login
        case .register: .register
        case .presence: .presence
        case .lookup: .lookup
        case .offer: .offer
        case .accept: .accept
        case .decline: .decline
        case .progress: .progress
        case .note: .note
        case .delivered: .delivered
        case .cancel: .cancel
        case .request: .request
        case .withdraw: .withdraw
        case .refuse: .refuse
        case .ping: .ping
        }
    }

    /// The offered transfer that it is about; nil for messages about none. These are what a session's node passes on to
    /// the transfer's home.
    package var transfer: TransferID? {
        switch self {
        case .accept(let message): message.transfer
        case .decline(let message): message.transfer
        case .cancel(let message): message.transfer
        case .progress(let message): message.transfer
        case .note(let message): message.transfer
        case .delivered(let message): message.transfer
        case .login, .register, .presence, .lookup, .offer, .request, .withdraw, .refuse, .ping: nil
        }
    }
}

extension ClientMessage: Codable {
    package init(from decoder: any Decoder) throws {
        switch try decoder.container(keyedBy: TypeKey.self).decode(Kind.self, forKey: .type) {
        case .login: self = .login(try Login(from: decoder))
        case .register: self = .register(try Register(from: decoder))
        case .presence: self = .presence(try Presence(from: decoder))
        case .lookup: self = .lookup(try Lookup(from: decoder))
        case .offer: self = .offer(try Offer(from: decoder))
        case .accept: self = .accept(try Accept(from: decoder))
        case .decline: self = .decline(try Decline(from: decoder))
        case .progress: self = .progress(try Progress(from: decoder))
        case .note: self = .note(try Note(from: decoder))
        case .delivered: self = .delivered(try Delivered(from: decoder))
        case .cancel: self = .cancel(try Cancel(from: decoder))
        case .request: self = .request(try Request(from: decoder))
        case .withdraw: self = .withdraw(try Withdraw(from: decoder))
        case .refuse: self = .refuse(try Refuse(from: decoder))
        case .ping: self = .ping(try Ping(from: decoder))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: TypeKey.self)
        try container.encode(kind, forKey: .type)
        switch self {
        case .login(let message): try message.encode(to: encoder)
        case .register(let message): try message.encode(to: encoder)
        case .presence(let message): try message.encode(to: encoder)
        case .lookup(let message): try message.encode(to: encoder)
        case .offer(let message): try message.encode(to: encoder)
        case .accept(let message): try message.encode(to: encoder)
        case .decline(let message): try message.encode(to: encoder)
        case .progress(let message): try message.encode(to: encoder)
        case .note(let message): try message.encode(to: encoder)
        case .delivered(let message): try message.encode(to: encoder)
        case .cancel(let message): try message.encode(to: encoder)
        case .request(let message): try message.encode(to: encoder)
        case .withdraw(let message): try message.encode(to: encoder)
        case .refuse(let message): try message.encode(to: encoder)
        case .ping(let message): try message.encode(to: encoder)
        }
    }
}
