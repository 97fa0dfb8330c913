// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WSProtocol

/// `NAME[,NAME...]`: who a file goes to. No name comes twice.
struct PeerList: Hashable, Sendable, ExpressibleByArgument {
    let names: [PeerName]

    /// Returns nil when there is no name, or one that no relay could have.
    init?(argument: String) {
        var names: [PeerName] = []
        for text in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let name = PeerName(rawValue: String(text)) else { return nil }
            if !names.contains(name) { names.append(name) }
        }
        self.names = names
    }
}

extension PeerName: ExpressibleByArgument {
    package init?(argument: String) { self.init(rawValue: argument) }
}
