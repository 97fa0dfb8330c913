// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// A request of an open session, with what the users' registry had to say about it.
enum SessionRequest: Hashable, Sendable {
    case presence(ClientMessage.Presence)
    /// The user is nil when nobody has the name.
    case lookup(ClientMessage.Lookup, User?)
    /// The user is nil when nobody has the name.
    case offer(ClientMessage.Offer, to: User?)
    case accept(ClientMessage.Accept)
    case decline(ClientMessage.Decline)
    case progress(ClientMessage.Progress)
    case delivered(ClientMessage.Delivered)
    case cancel(ClientMessage.Cancel)
}
