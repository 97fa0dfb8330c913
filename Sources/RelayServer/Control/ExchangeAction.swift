// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What to do after an event of the ``Exchange``, in this order.
enum ExchangeAction: Hashable, Sendable {
    /// Send this to a session.
    case send(SessionID, ServerMessage)
    /// Close a session's connection.
    case close(SessionID, WebSocketCloseCode)
    /// Cut the streams of a transfer.
    case abortStream(TransferID, FailureCode)
    /// A transfer is over; for the log and the metrics.
    case transferEnded(TransferID, TransferOutcome)
}
