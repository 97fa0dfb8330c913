// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// A node's process: its id and which start of it.
struct LinkEnd: Hashable, Sendable {
    var node: NodeID
    var incarnation: Incarnation
}
