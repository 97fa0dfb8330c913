// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// A request of an open session, with what had to be found out for it first.
package enum SessionRequest: Hashable, Sendable {
    case presence(ClientMessage.Presence)
    /// The user is nil when nobody has the name.
    case lookup(ClientMessage.Lookup, User?, elsewhere: RemoteReceivers)
    /// The user is nil when nobody has the name.
    case offer(ClientMessage.Offer, to: User?, elsewhere: RemoteReceivers)
    /// The token is the download's, not seen by anybody yet; nil at a node that is not the transfer's home.
    case accept(ClientMessage.Accept, token: Token?)
    case decline(ClientMessage.Decline)
    case progress(ClientMessage.Progress)
    case delivered(ClientMessage.Delivered)
    case cancel(ClientMessage.Cancel)
}

/// The sessions of a name on other nodes that want to be rung.
package enum RemoteReceivers: Hashable, Sendable {
    case known([SessionID])
    /// The rest of the cluster cannot be asked.
    case unknown

    /// There are no other nodes, or nobody there.
    package static let none = RemoteReceivers.known([])
}
