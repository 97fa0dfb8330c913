// SPDX-License-Identifier: Apache-2.0

import NIOCore
package import WSProtocol

/// A limit that was met: what there was too much of, and whose.
package struct Limit: Hashable, Sendable, CaseIterable {
    /// What there was too much of.
    package enum Subject: String, Hashable, Sendable, CaseIterable {
        /// Messages in a time. They wait.
        case messages
        /// Messages before a login.
        case messagesBeforeLogin = "messages_before_login"
        /// Reports of progress that come too often.
        case progress
        /// Pings, pongs and close frames.
        case controlFrames = "control_frames"
        /// Key updates, alerts, and what else TLS says by itself.
        case tlsMessages = "tls_messages"
        /// Connections that have shown neither a login nor a token.
        case unauthenticated
        case sessions
        /// Names that were registered in a time without invitations.
        case names
        /// Transfers that are offered, and that are accepted.
        case offers, accepts
        /// Offers that no receiver has accepted yet.
        case pending
        /// Bytes a second; they wait.
        case rate
        /// Bytes a day.
        case day
        /// Requests that may be answered.
        case requests
        /// Bytes of payloads that wait for an answer.
        case waitingBytes = "waiting_bytes"
        /// Messages that a client does not read.
        case unread
        /// Requests for a client that leaves much unread. They are dropped.
        case unreadRequests = "unread_requests"
        /// Tokens that no client has used yet.
        case tokens
        /// What the process has of the system.
        case descriptors, memory
    }

    /// Whose limit it was.
    package enum Scope: String, Hashable, Sendable, CaseIterable {
        case connection, session, user, recipient, address, node
    }

    package let subject: Subject
    package let scope: Scope

    package init(_ subject: Subject, of scope: Scope) {
        self.subject = subject
        self.scope = scope
    }

    /// Every limit there is.
    package static let allCases: [Limit] =
        [
            Limit(.messagesBeforeLogin, of: .connection), Limit(.controlFrames, of: .connection),
            Limit(.tlsMessages, of: .connection), Limit(.unauthenticated, of: .address), Limit(.names, of: .address),
            Limit(.offers, of: .session),
            Limit(.offers, of: .recipient), Limit(.accepts, of: .session), Limit(.waitingBytes, of: .node),
            Limit(.unread, of: .session), Limit(.progress, of: .session),
            Limit(.tokens, of: .node), Limit(.descriptors, of: .node), Limit(.descriptors, of: .address),
            Limit(.memory, of: .node), Limit(.requests, of: .session), Limit(.requests, of: .node),
            Limit(.unreadRequests, of: .session),
        ]
        + [
            Subject.messages, .sessions, .offers, .pending, .accepts, .requests, .waitingBytes, .unread, .rate, .day,
        ].flatMap { subject in
            [Limit(subject, of: .user), Limit(subject, of: .address)]
        }
}

/// A request that is refused because of a limit, with what to do about it.
package struct LimitRefusal: Hashable, Sendable {
    package let limit: Limit
    /// Who asked.
    let owner: Owner
    /// How much there may be, where an operator has said so of this user.
    let most: Int?

    package init(_ limit: Limit, of owner: Owner, most: Int? = nil) {
        self.limit = limit
        self.owner = owner
        self.most = most
    }

    /// Whether it is the client's own doing, or the relay that is full.
    package var code: FailureCode {
        switch (limit.subject, limit.scope) {
        case (.sessions, _): .tooManySessions
        case (.day, _): .dayLimit
        case (_, .node): .unavailable
        case (.requests, _): .tooManyRequests
        default: .tooManyTransfers
        }
    }

    /// The message for a person.
    package var message: String {
        let whose =
            switch limit.scope {
            case .connection, .session: "this connection has"
            case .user: "\(owner.name) has, on all connections together,"
            case .recipient: "this receiver has, from \(owner.name), the network you come from, or all together,"
            case .address: "the network you come from has, all its users together,"
            case .node: "this relay has"
            }
        let number = most.map { " (\($0))" } ?? ""
        return switch limit.subject {
        case .sessions: "\(whose) as many sessions as there may be\(number): end one first"
        case .offers: "\(whose) as many offers as there may be\(number): wait until some of them are over"
        case .pending:
            "\(whose) as many unanswered offers as there may be\(number): wait until some of them are answered"
        case .accepts:
            "\(whose) as many accepted transfers as there may be\(number): wait until some of them are over"
        case .requests:
            "\(whose) as many open requests as there may be: wait until some of them are answered, or withdraw them"
        case .day: "\(whose) moved as many bytes as it may in a day: the next day begins at 00:00 UTC"
        default: "\(whose) as much waiting for answers as there may be: wait until some of it is answered"
        }
    }
}

/// The limits of a ``Broker``; `Defaults.Broker` has the usual ones with their reasons.
package struct BrokerLimits: Hashable, Sendable {
    /// What one user may hold, with all sessions together.
    package var user: Holding
    /// What any one address may hold; nil without a limit.
    package var address: Holding?
    /// Offered, and separately accepted, transfers of one session.
    var transfersPerSession: Int
    /// Offers that may wait for one name. A user, and an address, may have as many of them as are still free.
    var offersPerRecipient: Int
    /// Open requests of one session.
    var requestsPerSession: Int
    /// Requests that are open on the node, those of other nodes' sessions that are known here included.
    var openRequests: Int
    /// Bytes of payloads that are kept for later.
    var heldBytes: Int
    package var unclaimedTokens: Int
    var timing: BrokerTiming
}

/// How long the broker waits for what.
struct BrokerTiming: Hashable, Sendable {
    /// For what becomes of a transfer.
    var transfer: TransferTiming
    /// How long a request may be answered.
    var request: TimeAmount
    /// How long a token may be used.
    var token: TimeAmount
    /// Seconds, as announced in `welcome`.
    var heartbeat: Int
}
