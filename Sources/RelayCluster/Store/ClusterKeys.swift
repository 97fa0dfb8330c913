// SPDX-License-Identifier: Apache-2.0

import RelayNode
import TransferBroker
import WSProtocol

/// The names of everything in Redis. Whatever varies in a name is of a validated type, so no client can make one up
/// that means something else.
enum ClusterKeys {
    /// Set once by the first node that finds none: another value, or none, means that Redis was emptied or put back.
    static let epoch = "{relay}:epoch"
    /// The ids of nodes that may be alive.
    static let nodes = "{relay}:nodes"
    /// All names, for listing.
    static let users = "{relay}:users"
    /// The digests of invitations, by expiry.
    static let invitations = "{relay}:invitations"
    /// Session ticket keys, sealed.
    static let tickets = "{relay}:tickets"

    /// In front of a node's id. Scripts that read all nodes put these together themselves.
    static let nodePrefix = "{relay}:node:"
    static let userPrefix = "{relay}:user:"
    static let receivingPrefix = "{relay}:receiving:"
    static let sharingPrefix = "{relay}:sharing:"
    static let waitingPrefix = "{relay}:waiting:"
    static let channelPrefix = "{relay}:bell:"

    /// A node's presence.
    static func node(_ node: NodeID) -> String { nodePrefix + node.rawValue }

    /// The sessions of `name` on `node` that want to be told of offers.
    static func receiving(_ name: PeerName, on node: NodeID) -> String {
        "\(receivingPrefix)\(name.rawValue):\(node.rawValue)"
    }

    /// The key that says that `node` has sessions of `name` that want to hear requests.
    static func sharing(_ name: PeerName, on node: NodeID) -> String {
        "\(sharingPrefix)\(name.rawValue):\(node.rawValue)"
    }

    /// The key that says that `node` has offers to `name`.
    static func waiting(_ name: PeerName, on node: NodeID) -> String {
        "\(waitingPrefix)\(name.rawValue):\(node.rawValue)"
    }

    /// The key that says that `node` is a transfer's home.
    static func transfer(_ transfer: TransferID, on node: NodeID) -> String {
        "{relay}:transfer:\(transfer.rawValue):\(node.rawValue)"
    }

    /// The node to ask about a token.
    static func token(_ digest: TokenDigest) -> String { "{relay}:token:\(Base64URL.encode(digest.bytes))" }

    /// The user that owns a name.
    static func user(_ name: PeerName) -> String { userPrefix + name.rawValue }

    /// What operators have laid down about a user.
    static func account(_ name: PeerName) -> String { "{relay}:account:\(name.rawValue)" }

    /// What an operator wrote about an invitation.
    static func note(_ digest: InvitationDigest) -> String { "{relay}:note:\(digest.rawValue)" }

    /// The bytes that a user has moved on a day, in days since 1970.
    static func traffic(_ name: PeerName, day: Int64) -> String { "{relay}:traffic:\(day):\(name.rawValue)" }

    /// The key that says that `name` was removed: nodes that still know its owner must not write the record again.
    static func removed(_ name: PeerName) -> String { "{relay}:removed:\(name.rawValue)" }

    /// An invitation.
    static func invitation(_ digest: InvitationDigest) -> String { "{relay}:invitation:\(digest.rawValue)" }

    /// The channel on which a node is notified.
    static func channel(_ node: NodeID) -> String { channelPrefix + node.rawValue }
}
