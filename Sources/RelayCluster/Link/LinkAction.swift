// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

/// What the machines of a link want done.
enum LinkAction: Hashable, Sendable {
    /// Ask the address book where the node is, and tell the answer together with `attempt`.
    case resolve(attempt: UInt64)
    case dial(NodeAddress, LinkConnection)
    case say(LinkFrame, LinkConnection)
    /// Write the text of a message that was encoded before.
    case write(ByteBuffer, LinkConnection)
    case deliver(NodeMessage, from: Incarnation)
    /// Close it, or give the attempt up.
    case close(LinkConnection)
    /// As `close`, because the other side broke a rule.
    case reject(LinkConnection)
    /// Everything shared with that process of the other node is over.
    case lost(LinkLoss)
}
