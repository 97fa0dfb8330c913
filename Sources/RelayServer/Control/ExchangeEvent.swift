// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Everything that can happen to the ``Exchange``, but for claims, which need an answer.
enum ExchangeEvent: Hashable, Sendable {
    /// The login of a session holds; the request is to be answered.
    case sessionOpened(SessionID, User, RequestID)
    case requestReceived(SessionRequest, from: SessionID)
    /// The connection is gone, whether it was ever open or not.
    case sessionClosed(SessionID)
    case streamChanged(TransferID, StreamEvent)
    /// Deadlines may have passed.
    case timerFired
    /// From now on new offers and accepts are refused; what has been accepted goes on.
    case drainBegun
    /// The name belongs to nobody any more: its sessions have to go.
    case nameRemoved(PeerName)
}
