// SPDX-License-Identifier: Apache-2.0

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
        case strangers
        case sessions
        /// Names that were registered in a time without invitations.
        case names
        /// Transfers that are offered, and that are accepted.
        case offers, accepts
        /// Bytes of payloads that wait for an answer.
        case waitingBytes = "waiting_bytes"
        /// Messages that a client does not read.
        case unread
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
            Limit(.tlsMessages, of: .connection), Limit(.strangers, of: .address), Limit(.names, of: .address),
            Limit(.offers, of: .session),
            Limit(.offers, of: .recipient), Limit(.accepts, of: .session), Limit(.waitingBytes, of: .node),
            Limit(.unread, of: .session), Limit(.progress, of: .session),
            Limit(.tokens, of: .node), Limit(.descriptors, of: .node), Limit(.descriptors, of: .address),
            Limit(.memory, of: .node),
        ]
        + [Subject.messages, .sessions, .offers, .accepts, .waitingBytes, .unread].flatMap { subject in
            [Limit(subject, of: .user), Limit(subject, of: .address)]
        }
}
