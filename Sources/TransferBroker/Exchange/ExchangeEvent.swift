// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// Everything that can happen to the ``Exchange``, but for claims, which need an answer.
package enum ExchangeEvent: Hashable, Sendable {
    /// The login of a session holds; the request is to be answered. With the address whose limits it shares.
    case sessionOpened(SessionID, User, RequestID, at: String? = nil)
    case requestReceived(SessionRequest, from: SessionID)
    /// The connection is gone, whether it was ever open or not.
    case sessionClosed(SessionID)
    /// The byte path of `node` holds the receiver's request of a transfer.
    case downloadParked(TransferID, on: NodeID, UploadGrant)
    /// The byte path of `node` reports anything else about a transfer of this home.
    case streamChanged(TransferID, StreamEvent, on: NodeID)
    /// Deadlines may have passed.
    case timerFired
    /// From now on new offers and accepts are refused; what has been accepted goes on.
    case drainBegun
    /// The process has little memory left, or enough again: new offers are refused meanwhile.
    case memoryChanged(isShort: Bool)
    /// The name belongs to nobody any more, or only to that key: its other sessions have to go.
    case nameRemoved(PeerName, except: SigningKey? = nil)
    /// Other nodes have sessions of that name that want to be rung.
    case receiversAppeared(PeerName, [SessionID])
    /// Another node said something.
    case messageReceived(NodeMessage, from: NodeID)
    /// A client of another node asked something about a transfer of this home.
    case requestForwarded(SessionRequest, from: SessionID)
    /// Everything shared with that node's process is over.
    case nodeLost(NodeID)

    /// The token that was made for it, if one was.
    package var token: Token? {
        switch self {
        case .requestReceived(.accept(_, let token), from: _), .requestForwarded(.accept(_, let token), from: _): token
        case .downloadParked(_, on: _, let grant): grant.token
        case .requestReceived, .requestForwarded, .sessionOpened, .sessionClosed, .streamChanged, .timerFired,
            .drainBegun,
            .memoryChanged, .nameRemoved, .receiversAppeared, .messageReceived, .nodeLost:
            nil
        }
    }
}

/// What the sender of a transfer gets for its upload.
package struct UploadGrant: Hashable, Sendable {
    /// Not seen by anybody yet.
    package var token: Token
    /// The own address of the node that holds the download, such as `https://n2.example.org`, if it has one.
    package var publicURL: PublicURL?

    package init(token: Token, publicURL: PublicURL? = nil) {
        self.token = token
        self.publicURL = publicURL
    }
}
