// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// Names one control connection, on whichever node it is.
///
/// Sessions are addressed by this value alone, never by an object of this process: the broker that keeps the
/// transfers need not know whether the session is on its own node.
package struct SessionID: Hashable, Sendable, CustomStringConvertible {
    /// The node that holds the connection.
    package var node: NodeID
    /// Counts the connections of that node from 1.
    package var number: UInt64

    package init(node: NodeID, number: UInt64) {
        self.node = node
        self.number = number
    }

    package var description: String { "\(node.rawValue)-\(number)" }

    /// The form in `welcome` and in logs, such as `n1-7`.
    package var label: Label { Label(clipping: description) }
}
