// SPDX-License-Identifier: Apache-2.0

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
}
