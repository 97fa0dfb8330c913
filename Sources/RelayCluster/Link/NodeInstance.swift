// SPDX-License-Identifier: Apache-2.0

package import TransferBroker
import WSProtocol

/// A node's process: its id and which start of it.
package struct NodeInstance: Hashable, Sendable {
    package var node: NodeID
    package var incarnation: Incarnation
}
