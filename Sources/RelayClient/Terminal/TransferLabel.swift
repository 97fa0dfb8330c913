// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What is known about a transfer from its beginning, for showing it.
struct TransferLabel: Hashable, Sendable {
    /// Which way the content goes, seen from here.
    enum Direction: String, Hashable, Sendable {
        case send
        case receive
    }

    var transfer: TransferID
    var direction: Direction
    /// Who is on the other side.
    var peer: PeerName
    /// The file's name as the sender gave it: not yet fit for a terminal.
    var name: String
    /// Bytes of content; nil where that is not known.
    var size: UInt64?
}
