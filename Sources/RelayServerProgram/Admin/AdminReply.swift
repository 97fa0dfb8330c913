// SPDX-License-Identifier: Apache-2.0

import RelayNode
import TransferBroker
import WSProtocol

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
    /// It cannot be done; `exit` is what the sub-command exits with.
    case failed(message: String, exit: Int32)
}
