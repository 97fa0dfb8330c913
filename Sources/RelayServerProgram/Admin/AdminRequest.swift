// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import TransferBroker
import WSProtocol

/// What a sub-command asks of the running server: one line of JSON.
enum AdminRequest: Hashable, Sendable, Codable {
    case status
    /// An invitation for `name` (nil: any), good for `lifetime` seconds.
    case invite(name: PeerName?, lifetime: Int64)
    /// Take an invitation back that was not passed on.
    case withdraw(code: InvitationCode)
    /// The users whose names come after `after` (nil: from the first), one page of them.
    case users(after: PeerName?)
    case remove(name: PeerName)
    /// Finish what runs, take nothing new, and end.
    case drain
    /// Read the configuration and its files again.
    case reload
    /// Start a new process that takes this one's place.
    case restart
}

/// The running server's answer: one line of JSON.
enum AdminReply: Hashable, Sendable, Codable {
    case status(status: ServerStatus)
    case invited(code: InvitationCode, expires: UnixTime)
    /// The invitation is good for nothing any more.
    case withdrawn
    /// A page of users; `isLast` when there are no more after it.
    case users(users: [User], isLast: Bool)
    case removed(name: PeerName)
    /// The server ends once its transfers have, in `seconds` at the latest.
    case draining(transfers: Int, seconds: Int64)
    /// What is read again has taken effect, or waits for a new process.
    case reloaded(outcome: ReloadOutcome)
    /// That process serves; this one ends once its transfers have.
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
