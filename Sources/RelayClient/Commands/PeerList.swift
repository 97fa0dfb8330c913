// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import WSProtocol

/// `NAME[,NAME...]`: who a file goes to. No name comes twice.
struct PeerList: Hashable, Sendable {
    let names: [PeerName]

    /// - Throws: `ValidationError` when there is no name, or one that no relay could have.
    init(_ text: String) throws { names = try PeerName.list(text) }
}
