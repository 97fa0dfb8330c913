// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// What became of an ``Publication/presence(replacing:)``.
enum PresenceOutcome: Hashable, Sendable {
    /// It is ours. `isNew` says that the epoch was made just now, although `others` were listening.
    case held(Epoch, isNew: Bool, others: Int = 0)
    /// Another process has the node's id: what it says, if that can be read, and for how long it still counts.
    case taken(String, remaining: TimeAmount)
}
