// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import TransferBroker
import WSProtocol

/// What a sub-command asks of the running server: one line of JSON.
enum AdminRequest: Hashable, Sendable, Codable {
    case status
    /// What goes on, with at most `limit` transfers and sessions.
    case top(limit: Int)
    /// An invitation for `name` (nil: any), good for `lifetime` seconds.
    case invite(name: PeerName?, lifetime: Int64, note: String? = nil)
    /// Take an invitation back that was not passed on.
    case withdraw(code: InvitationCode)
    /// The users whose names come after `after` (nil: from the first), one page of them.
    case users(after: PeerName?)
    /// All about one user.
    case user(name: PeerName)
    /// Other limits for one user; a limit without a value is as usual again.
    case limit(name: PeerName, changes: [LimitChange])
    case rename(name: PeerName, to: PeerName)
    case disable(name: PeerName)
    case enable(name: PeerName)
    case remove(name: PeerName)
    /// The nodes of the cluster.
    case nodes
    /// The sessions of a node (nil: of the one that is asked) behind the one of that number, one page of them.
    case sessions(after: UInt64, node: NodeID? = nil)
    case close(session: String)
    /// The transfers whose home a node is (nil: the one that is asked), behind that one, one page of them.
    case transfers(after: TransferID?, node: NodeID? = nil)
    case cancel(transfer: TransferID)
    /// The invitations behind that one, one page of them, for a copy of the registry.
    case invitations(after: InvitationDigest?)
    /// A part of a copy that is to be put into the registry.
    case restore(part: RestorePart)
    /// Finish what runs, take nothing new, and end.
    case drain
    /// Read the configuration and its files again.
    case reload
    /// Start a new process that takes this one's place.
    case restart
}

/// A limit and its new value; 0 means none, and nil that of every user.
struct LimitChange: Hashable, Sendable, Codable {
    var limit: String
    var value: Int64?
}

/// The running server's answer: one line of JSON.
enum AdminReply: Hashable, Sendable, Codable {
    case status(status: ServerStatus)
    case top(top: ServerTop)
    case invited(code: InvitationCode, expires: UnixTime)
    /// The invitation is good for nothing any more.
    case withdrawn
    /// A page of users; `isLast` when there are no more after it.
    case users(users: [AccountRecord], isLast: Bool)
    case user(user: UserDetails)
    case renamed(name: PeerName)
    case disabled(name: PeerName)
    case enabled(name: PeerName)
    case removed(name: PeerName)
    /// The node that is asked, the others, and whether these are all that there are.
    case nodes(own: NodeID, others: [NodeID], isWhole: Bool)
    /// The node that was to be asked does not answer.
    case unanswered(node: NodeID, reason: String)
    case sessions(sessions: [SessionEntry], isLast: Bool)
    case closed(session: String)
    case transfers(transfers: [TransferEntry], isLast: Bool)
    case cancelled(transfer: TransferID)
    case invitations(invitations: [Invitation], isLast: Bool)
    /// A part of a copy has arrived; with the last one, so many users are in the registry.
    case restored(users: Int?)
    /// The server ends once its transfers have, in `seconds` at the latest.
    case draining(transfers: Int, seconds: Int64)
    /// What is read again has taken effect, or waits for a new process.
    case reloaded(outcome: ReloadOutcome)
    /// The process of this id serves; the one that answers ends once its transfers have.
    case restarted(process: Int32, transfers: Int)
    /// It cannot be done; `exit` is what the sub-command exits with.
    case failed(message: String, exit: Int32)
}

/// One JSON value to and from one line.
enum AdminLine {
    /// `value` as JSON, which has no line feed in it, and a line feed.
    static func encode(_ value: some Encodable) throws -> ByteBuffer {
        ByteBuffer(string: try StrictJSON.encode(value) + "\n")
    }

    /// Reads `line`; nil when it is not a `Value`.
    static func decode<Value: Decodable>(_: Value.Type, _ line: ByteBuffer) -> Value? {
        StrictJSON.decode(Value.self, from: line.readableBytesView)
    }
}
