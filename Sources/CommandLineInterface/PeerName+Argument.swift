// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
package import WSProtocol

extension PeerName {
    /// A name from the command line.
    /// - Throws: `ValidationError` with the rule, and with the name that was meant if there is one.
    package static func argument(_ text: String) throws -> PeerName {
        let text = Pasted.trimmed(text)
        if let name = PeerName(rawValue: text) { return name }
        guard let meant = PeerName(rawValue: text.lowercased()) else { throw ValidationError(rule) }
        throw ValidationError("\(rule); did you mean \"\(meant)\"?")
    }

    /// `NAME[,NAME...]`: names without repetitions.
    /// - Throws: `ValidationError` as above, or when there is a comma too many.
    package static func list(_ text: String) throws -> [PeerName] {
        var names: [PeerName] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard !Pasted.trimmed(String(part)).isEmpty else {
                throw ValidationError(
                    "there is no name at one side of a comma; several are written bob,carol without blanks")
            }
            let name = try argument(String(part))
            if !names.contains(name) { names.append(name) }
        }
        return names
    }
}
